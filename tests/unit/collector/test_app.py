import io
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from math import log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from kontinual.browsers import LOOPBACK
from kontinual.collector import Store, app, create_app, door, examples_schema
from kontinual.collector.outcomes import VERSIONS_LIMIT
from kontinual.spec import Loop

BATCH = {"content-type": "application/cloudevents-batch+json"}
Maker = Callable[..., dict[str, Any]]


@pytest.fixture
def client(loop: Loop, store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(loop, store)) as client:
        yield client


def post_events(client: TestClient, *events: Any) -> Any:
    return client.post("/api/v1/events", json=list(events), headers=BATCH)


def post_labels(client: TestClient, **labels: int) -> Any:
    body = {"labels": [{"id": name, "label": value} for name, value in labels.items()]}
    return client.post("/api/v1/labels", json=body)


def examples(client: TestClient, **query: int) -> pa.Table:
    answer = client.get("/api/v1/examples", params=query)
    assert answer.status_code == 200
    return pq.read_table(io.BytesIO(answer.content))


def test_a_prediction_and_its_late_label_become_an_example(
    client: TestClient, event: Maker, loop: Loop
) -> None:
    assert post_events(client, event(1), event(2)).json() == {
        "stored": 2,
        "duplicate": 0,
        "matured": 0,
    }
    answer = post_labels(client, p2=1)
    assert answer.status_code == 202
    assert answer.json() == {"joined": 1, "early": 0, "duplicate": 0, "conflict": 0}
    table = examples(client, after=0, limit=10)
    assert table.schema.equals(examples_schema(loop))
    (row,) = table.to_pylist()
    assert row.pop("sent").isoformat() == "2024-05-01T12:00:00+00:00"
    assert row == {
        "parcel": "p2",
        "weight": 2.5,
        "items": 3,
        "depot": "north",
        "json": "a",
        "lost": 1,
        "_version": "1",
        "_score": 0.25,
        "_seq": 1,
    }


def test_without_examples_the_table_is_empty_but_typed(client: TestClient, loop: Loop) -> None:
    table = examples(client)
    assert table.num_rows == 0
    assert table.schema.equals(examples_schema(loop))


def test_nulls_stay_null(client: TestClient, event: Maker, instance: Maker) -> None:
    row = instance(1, weight=None, items=None, depot=None)
    post_events(client, event(1, data={"version": "1", "instances": [row], "scores": [0.5]}))
    post_labels(client, p1=0)
    (found,) = examples(client).to_pylist()
    assert (found["weight"], found["items"], found["depot"]) == (None, None, None)


def test_a_batch_with_one_bad_item_keeps_nothing(
    client: TestClient, event: Maker, store: Store
) -> None:
    answer = post_events(client, event(1), event(2, id=""), event(3))
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["item"] == 1
    assert answer.json()["problems"][0]["field"] == "id"
    assert store.counts.unlabelled == 0
    assert 'kontinual_events_total{model="parcels",result="invalid"} 1.0' in metrics(client)


def test_bad_labels_are_named_and_none_is_kept(client: TestClient, store: Store) -> None:
    body = {"labels": [{"id": "p1", "label": 1}, {"id": "p2", "label": 2}, {"label": 1}]}
    answer = client.post("/api/v1/labels", json=body)
    assert answer.status_code == 422
    found = [(p["item"], p["field"]) for p in answer.json()["problems"]]
    assert found == [(1, "label"), (2, "id")]
    assert post_labels(client, p1=1).json()["early"] == 1
    assert 'kontinual_labels_total{model="parcels",result="invalid"} 2.0' in metrics(client)


def take(client: TestClient, cursor: Any) -> Any:
    identity = client.get("/api/v1/store").json()["store"]
    return client.post("/api/v1/taken", json={"store": identity, "cursor": cursor})


def test_taken_rows_count_no_longer_as_new(client: TestClient, event: Maker) -> None:
    post_events(client, *(event(n) for n in range(4)))
    post_labels(client, p0=1, p1=0, p2=1)
    assert 'kontinual_matured_rows{model="parcels"} 3.0' in metrics(client)
    assert take(client, 2).json() == {"cursor": 2}
    assert 'kontinual_matured_rows{model="parcels"} 1.0' in metrics(client)
    assert 'kontinual_unlabelled_rows{model="parcels"} 1.0' in metrics(client)
    assert [r["_seq"] for r in examples(client, after=2).to_pylist()] == [3]


@pytest.mark.parametrize(("cursor", "status"), [(1, 409), (-1, 422), ("x", 422), (None, 422)])
def test_a_cursor_that_can_not_be_is_refused(client: TestClient, cursor: Any, status: int) -> None:
    answer = take(client, cursor)
    assert answer.status_code == status
    assert "cursor" in answer.json()["detail"]


def test_the_store_says_which_it_is_and_how_far_it_is(
    client: TestClient, event: Maker, store: Store
) -> None:
    post_events(client, event(1), event(2))
    post_labels(client, p1=1)
    take(client, 1)
    assert client.get("/api/v1/store").json() == {
        "loop": "parcels",
        "store": store.identity,
        "ripening": 0,
        "matured": 1,
        "taken": 1,
        "pruned": 0,
    }


def test_who_counts_in_another_store_is_refused(client: TestClient, event: Maker) -> None:
    post_events(client, event(1))
    post_labels(client, p1=1)
    read = client.get("/api/v1/examples", params={"store": "another"})
    taken = client.post("/api/v1/taken", json={"store": "another", "cursor": 1})
    for answer in (read, taken):
        assert answer.status_code == 409
        assert "the one of this collector, but got 'another'" in answer.json()["detail"]
    assert client.get("/api/v1/store").json()["taken"] == 0


def test_rows_are_forgotten_in_the_background_once_they_are_taken(
    loop: Loop, tmp_path: Path, event: Maker
) -> None:
    store = Store(tmp_path / "brief.sqlite", loop="parcels", retention=timedelta(0))
    with TestClient(create_app(loop, store)) as client:
        post_events(client, event(1), event(2))
        post_labels(client, p1=1, p2=0)
        assert take(client, 2).status_code == 200
        assert client.get("/api/v1/store").json()["pruned"] == 2
        assert 'kontinual_pruned_rows_total{kind="taken",model="parcels"} 2.0' in metrics(client)
        answer = client.get("/api/v1/examples", params={"after": 0})
        assert answer.status_code == 410
        assert "no longer kept" in answer.json()["detail"]


def test_a_pruning_that_fails_harms_nobody(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, event: Maker
) -> None:
    def full() -> int:
        raise OperationalError("DELETE", {}, Exception("disk full"))

    post_events(client, event(1))
    post_labels(client, p1=1)
    monkeypatch.setattr(store, "prune", full)
    assert take(client, 1).json() == {"cursor": 1}


def test_what_waits_in_vain_is_forgotten_though_nothing_is_ever_taken(
    loop: Loop, tmp_path: Path, event: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PRUNE_SECONDS", 0.01)
    store = Store(tmp_path / "brief.sqlite", loop="parcels", patience=timedelta(0))
    with TestClient(create_app(loop, store)) as client:
        post_events(client, event(1), event(2))
        post_labels(client, p3=0)
        deadline = time.monotonic() + 30
        while 'kind="early",model="parcels"} 1.0' not in metrics(client):
            assert time.monotonic() < deadline, "it was never forgotten"
            time.sleep(0.01)
        page = metrics(client)
    assert 'kontinual_pruned_rows_total{kind="unlabelled",model="parcels"} 2.0' in page
    assert 'kontinual_pruned_rows_total{kind="taken",model="parcels"} 0.0' in page
    assert 'kontinual_unlabelled_rows{model="parcels"} 0.0' in page


@pytest.mark.parametrize("query", [{"after": -1}, {"limit": 0}, {"limit": 100_001}])
def test_a_page_that_can_not_be_is_refused(client: TestClient, query: dict[str, int]) -> None:
    answer = client.get("/api/v1/examples", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["detail"]


EARLIER = "2024-05-01T00:00:00Z"


def test_versions_are_compared_on_the_time_that_has_its_labels(
    client: TestClient, event: Maker
) -> None:
    post_events(client, event(1, score=0.5), event(2, version="2", score=0.25))
    post_labels(client, p1=1, p2=0)
    post_events(client, event(3))
    query = {"version": ["2", "1", "9"], "since": EARLIER}
    answer = client.get("/api/v1/outcomes", params=query).json()
    assert answer["until"] > EARLIER
    assert [tuple(o.values()) for o in answer["outcomes"]] == [
        ("2", 1, 1, pytest.approx(-log(0.75)), pytest.approx(log(0.75) ** 2)),
        ("1", 1, 1, pytest.approx(-log(0.5)), pytest.approx(log(0.5) ** 2)),
        ("9", 0, 0, 0, 0),
    ]
    clipped = client.get("/api/v1/outcomes", params={**query, "clip": 0.4}).json()
    assert clipped["outcomes"][0]["log_loss_sum"] == pytest.approx(-log(0.6))
    less = client.get("/api/v1/outcomes", params={**query, "labelled": 0.5}).json()
    assert [o["predictions"] for o in less["outcomes"]] == [1, 2, 0]


@pytest.mark.parametrize(
    "bounds", [{"since": "2100-01-01T00:00:00Z"}, {"until": "2024-05-02T00:00:00Z"}]
)
def test_a_time_without_predictions_has_no_outcomes(
    client: TestClient, event: Maker, bounds: dict[str, str]
) -> None:
    post_events(client, event(1))
    post_labels(client, p1=1)
    query = {"version": "1", "since": EARLIER, **bounds}
    answer = client.get("/api/v1/outcomes", params=query).json()
    assert (answer["until"], answer["outcomes"][0]["predictions"]) == (None, 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": []}, "version"),
        ({"version": ["1"] * 11}, "version"),
        ({"since": None}, "since: Field required"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2024-05-01T00:00:00"}, "since: Input should have timezone info"),
        ({"until": "2024-05-01T00:00:00"}, "until: Input should have timezone info"),
        ({"until": EARLIER}, "since is before until, but got 2024-05-01 00:00:00+00:00 and 2024"),
        ({"labelled": 0}, "labelled"),
        ({"labelled": 1.01}, "labelled"),
        ({"labelled": "nan"}, "labelled"),
        ({"clip": 0.5}, "clip"),
    ],
)
def test_a_comparison_that_can_not_be_is_refused(
    client: TestClient, changes: dict[str, Any], told: str
) -> None:
    query = {"version": ["1"], "since": EARLIER, **changes}
    query = {name: value for name, value in query.items() if value is not None}
    answer = client.get("/api/v1/outcomes", params=query)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_a_comparison_of_forgotten_rows_is_refused(
    loop: Loop, tmp_path: Path, event: Maker
) -> None:
    store = Store(tmp_path / "brief.sqlite", loop="parcels", retention=timedelta(0))
    with TestClient(create_app(loop, store)) as client:
        post_events(client, event(1))
        post_labels(client, p1=1)
        take(client, 1)
        answer = client.get("/api/v1/outcomes", params={"version": "1", "since": EARLIER})
    assert answer.status_code == 410
    assert "no longer kept" in answer.json()["detail"]


def test_a_body_over_the_limit_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, event: Maker
) -> None:
    monkeypatch.setattr(door, "BODY_LIMIT", 100)
    answer = post_events(client, event(1))
    assert answer.status_code == 413
    assert "at most 100 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["events", "labels", "taken"])
def test_no_route_reads_a_body_that_does_not_end(
    loop: Loop, store: Store, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(door, "BODY_LIMIT", 1000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 100
            yield b"a" * 100

    headers = {"content-type": "application/json"}
    with TestClient(create_app(loop, store)) as client:
        answer = client.post(f"/api/v1/{path}", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert "at most 1000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.example"},
    ],
)
def test_a_page_of_another_site_tells_no_labels(
    client: TestClient, headers: dict[str, str]
) -> None:
    body = '{"labels": [{"id": "p1", "label": 1}]}'
    foreign = {"content-type": "text/plain", **headers}
    assert client.post("/api/v1/labels", content=body, headers=foreign).status_code == 403
    own = {"sec-fetch-site": "same-origin", "origin": "http://testserver"}
    assert client.post("/api/v1/labels", content=body, headers=own).json()["early"] == 1


def test_a_collector_of_this_machine_answers_to_no_other_name(loop: Loop, store: Store) -> None:
    with TestClient(create_app(loop, store, hosts=LOOPBACK)) as client:
        for host in ("evil.example", "evil.example:8081", "127.0.0.1.evil.example", "[", ""):
            told = client.get("/api/v1/examples", headers={"host": host})
            assert (host, told.status_code) == (host, 403)
        for host in ("127.0.0.1:8081", "localhost", "[::1]:8081"):
            told = client.get("/api/v1/store", headers={"host": host})
            assert (host, told.status_code) == (host, 200)


def test_invented_versions_make_no_more_series_than_there_is_room_for(
    loop: Loop, store: Store, event: Maker
) -> None:
    many = [event(n, version=f"v{n}") for n in range(VERSIONS_LIMIT + 1)]
    with TestClient(create_app(loop, store)) as client:
        answer = post_events(client, *many)
        assert answer.status_code == 422
        assert "versions" in answer.json()["detail"]
        assert 'version="v0"' not in client.get("/metrics").text
        assert post_events(client, *many[1:]).json()["stored"] == VERSIONS_LIMIT
        assert post_events(client, event(0, version="v0")).status_code == 422
        assert post_events(client, event(0, version="v1")).json()["stored"] == 1


def test_when_the_store_fails_the_sender_is_asked_to_try_again(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, event: Maker
) -> None:
    def full(_: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", full)
        assert post_events(client, event(1)).status_code == 503
    assert post_events(client, event(1)).json()["stored"] == 1


def test_health_names_the_loop(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "loop": "parcels"}


def metrics(client: TestClient) -> str:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_a_row_that_could_not_be_kept_does_not_stand_in_the_log(
    loop: Loop, store: Store, event: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    with store._engine.begin() as tx:
        tx.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON predictions "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with TestClient(create_app(loop, store)) as client:
        assert post_events(client, event(4711)).status_code == 503
    assert "disk full" in caplog.text
    assert "p4711" not in caplog.text
