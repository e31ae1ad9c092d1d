import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kontinual.collector import InvalidItems, PredictionReader
from kontinual.spec import PREDICTIONS_EVENT, Loop

BATCH = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
Maker = Callable[..., dict[str, Any]]


@pytest.fixture
def reader(loop: Loop) -> PredictionReader:
    return PredictionReader(loop)


def refused(reader: PredictionReader, *events: Any) -> InvalidItems:
    with pytest.raises(InvalidItems) as caught:
        reader.read(json.dumps(events).encode(), BATCH)
    return caught.value


def test_batch_gives_its_rows_in_order(reader: PredictionReader, event: Maker) -> None:
    body = json.dumps([event(1, score=0.1), event(2, score=1)]).encode()
    first, second = reader.read(body, BATCH)
    assert (first.id, first.score, first.version) == ("p1", 0.1, "1")
    assert first.time == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert first.features == {"weight": 2.5, "items": 3, "depot": "north", "json": "a"}
    assert (second.id, second.score) == ("p2", 1.0)


def test_the_three_content_modes_say_the_same(reader: PredictionReader, event: Maker) -> None:
    item = event(1)
    batch = reader.read(json.dumps([item]).encode(), BATCH)
    structured = reader.read(
        json.dumps(item).encode(), {"content-type": "application/cloudevents+json"}
    )
    headers = {
        "content-type": "application/json",
        **{f"ce-{k}": item[k] for k in ("specversion", "id", "source", "type", "time")},
    }
    binary = reader.read(json.dumps(item["data"]).encode(), headers)
    assert batch == structured == binary


def test_binary_mode_decodes_percent_signs(reader: PredictionReader, event: Maker) -> None:
    item = event(1)
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "caf%C3%A9",
        "ce-source": "%2Fmodels/parcels/versions/1",
        "ce-type": item["type"],
    }
    assert len(reader.read(json.dumps(item["data"]).encode(), headers)) == 1


def many(event: Maker, *exchanges: tuple[list[Any], list[Any]], **changes: Any) -> dict[str, Any]:
    """One event of several requests, each with its instances and its predictions."""
    data = {
        "version": "1",
        "requests": [{"instances": instances} for instances, _ in exchanges],
        "predictions": [predictions for _, predictions in exchanges],
    }
    return {**event(0), "type": PREDICTIONS_EVENT, "data": data, **changes}


def test_many_requests_in_one_event_say_the_same_as_an_event_for_each(
    reader: PredictionReader, event: Maker, instance: Maker
) -> None:
    first = ([instance(1), instance(2)], [0.1, 0.2])
    second = ([instance(3)], [1])
    together = reader.read(json.dumps([many(event, first, second)]).encode(), BATCH)
    apart = [
        event(0, data={"version": "1", "instances": instances, "scores": scores})
        for instances, scores in (first, second)
    ]
    assert together == reader.read(json.dumps(apart).encode(), BATCH)
    assert [(p.id, p.score) for p in together] == [("p1", 0.1), ("p2", 0.2), ("p3", 1.0)]


@pytest.mark.parametrize(
    ("instances", "predictions", "field"),
    [
        ([{"weight": 1}], [0.5], "requests[1].instances[0].parcel"),
        ({}, [0.5], "requests[1].instances"),
        ([], [0.5], "predictions[1]"),
        ([], [7], "predictions[1][0]"),
    ],
)
def test_a_malformed_request_among_many_is_named(
    reader: PredictionReader,
    event: Maker,
    instance: Maker,
    instances: Any,
    predictions: Any,
    field: str,
) -> None:
    sound = ([instance(1)], [0.5])
    error = refused(reader, event(1), many(event, sound, (instances, predictions)))
    problem = error.problems[0]
    assert (problem.item, problem.field) == (1, f"data.{field}")


def test_a_request_without_its_answer_is_refused(
    reader: PredictionReader, event: Maker, instance: Maker
) -> None:
    item = many(event, ([instance(1)], [0.5]), ([instance(2)], [0.5]))
    item["data"]["predictions"].pop()
    (problem,) = refused(reader, item).problems
    assert problem.field == "data"
    assert "2 requests have one list of predictions each, but got 1" in problem.message


def test_values_that_were_served_are_kept_however_odd(
    reader: PredictionReader, event: Maker, instance: Maker
) -> None:
    odd = instance(1, weight=None, items=4.0, depot="moon", json=None, sent="2024-05-01T12:00:00")
    data = {"version": "1", "instances": [odd], "scores": [0]}
    (row,) = reader.read(json.dumps([event(1, data=data)]).encode(), BATCH)
    assert row.features == {"weight": None, "items": 4, "depot": "moon", "json": None}
    assert row.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"weight": "heavy"}, "weight", "valid number, but got 'heavy'"),
        ({"weight": True}, "weight", "valid number, but got True"),
        ({"items": 2.5}, "items", "a whole number up to 2^53 is needed, but got 2.5"),
        ({"items": 2**60}, "items", "a whole number up to 2^53"),
        ({"depot": 7}, "depot", "valid string, but got 7"),
        ({"parcel": ""}, "parcel", "at least 1 character"),
        ({"parcel": 5}, "parcel", "valid string, but got 5"),
        ({"sent": 1714564800}, "sent", "a time is ISO 8601 date and time"),
        ({"sent": "yesterday"}, "sent", "06:15:00Z, but got 'yesterday'"),
        ({"sent": "2024-05-01T12:00:00+05:60"}, "sent", "a time is ISO 8601"),
        ({"sent": "0024-05-01T12:00:00Z"}, "sent", "a time is ISO 8601"),
        ({"colour": "red"}, "colour", "no such field is declared"),
    ],
)
def test_a_malformed_row_is_named_by_item_and_field(
    reader: PredictionReader,
    event: Maker,
    instance: Maker,
    changes: dict[str, Any],
    field: str,
    message: str,
) -> None:
    data = {"version": "1", "instances": [instance(1, **changes)], "scores": [0.5]}
    error = refused(reader, event(0), event(1, data=data))
    (problem,) = error.problems
    assert (problem.item, problem.field) == (1, f"data.instances[0].{field}")
    assert message in problem.message


def test_a_missing_feature_is_named(
    reader: PredictionReader, event: Maker, instance: Maker
) -> None:
    row = instance(1)
    del row["weight"]
    data = {"version": "1", "instances": [instance(0), row], "scores": [0.5, 0.5]}
    (problem,) = refused(reader, event(1, data=data)).problems
    assert str(problem) == "item 0: data.instances[1].weight: this field is missing"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"specversion": "0.3"}, "specversion"),
        ({"type": "com.example.other"}, "type"),
        ({"source": "/models/other/versions/1"}, "source"),
        ({"time": "noon"}, "time"),
        ({"data": {"version": "1", "instances": [], "scores": [0.5]}}, "data.scores"),
        ({"data": {"version": 1, "instances": [], "scores": []}}, "data.version"),
        ({"data": None}, "data"),
    ],
)
def test_a_malformed_event_is_named_by_item_and_field(
    reader: PredictionReader, event: Maker, changes: dict[str, Any], field: str
) -> None:
    (problem,) = refused(reader, event(0), event(1, **changes)).problems
    assert (problem.item, problem.field) == (1, field)


@pytest.mark.parametrize("score", [-0.1, 1.5, "high", None])
def test_a_score_that_is_no_probability_is_refused(
    reader: PredictionReader, event: Maker, score: Any
) -> None:
    (problem,) = refused(reader, event(1, score=score)).problems
    assert problem.field == "data.scores[0]"


def test_every_bad_item_is_counted_but_only_some_are_listed(
    reader: PredictionReader, event: Maker
) -> None:
    error = refused(reader, *(event(n, id="") for n in range(30)))
    assert error.items == 30
    assert len(error.problems) == 20


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"{", BATCH, "body: not JSON"),
        (b'[{"data": NaN}]', BATCH, "body: not JSON"),
        (b"{}", BATCH, "body: a batch is a JSON array of events"),
        (b"[]", {"content-type": "text/plain"}, "body: content-type: is application/cloudevents"),
        (b"[]", {}, "but got none"),
    ],
)
def test_a_body_that_is_no_event_says_what_would_be(
    reader: PredictionReader, body: bytes, headers: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidItems) as caught:
        reader.read(body, headers)
    assert message in str(caught.value)


@pytest.mark.parametrize("version", ["", "v" * 62, '1"}\n# x', "-1", "\x1b[2J", "1/2"])
def test_a_version_is_a_short_name(reader: PredictionReader, event: Maker, version: str) -> None:
    problems = refused(reader, event(1, version=version)).problems
    assert [p.field for p in problems] == ["data.version"]
