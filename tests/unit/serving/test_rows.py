import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.model import ModelPackage
from kontinual.serving import BadRequest, RowReader
from kontinual.serving.fields import Note

Row = dict[str, Any]


@pytest.fixture(scope="session")
def reader(package: ModelPackage) -> RowReader:
    return RowReader(package.signature, max_rows=10)


def test_a_sound_row_is_encoded_without_a_note(reader: RowReader, row: Row) -> None:
    rows = reader.read([row])
    assert rows.matrix.tolist() == [[10.0, 61.5, 1400.0, 1.0, 1.0]]
    assert rows.matrix.dtype == np.float32
    assert rows.notes == []


@pytest.mark.parametrize(
    ("change", "note", "message"),
    [
        ({"hour": 1.5}, ("hour", "ill_typed"), "field `hour` must be a whole number"),
        ({"hour": True}, ("hour", "ill_typed"), "but got true"),
        ({"hour": "7"}, ("hour", "ill_typed"), "but got '7'"),
        ({"hour": 2**60}, ("hour", "ill_typed"), "at most 2^53"),
        ({"hour": None}, ("hour", "null"), "but got null"),
        ({"temp": [1]}, ("temp", "ill_typed"), "a number or null (usually -20 to 115), but got a"),
        ({"temp": math.inf}, ("temp", "ill_typed"), "must be finite"),
        ({"temp": math.nan}, ("temp", "ill_typed"), "must be finite"),
        ({"distance": 1e39}, ("distance", "ill_typed"), "within float32"),
        ({"origin": 3}, ("origin", "ill_typed"), "a string (such as EWR, JFK, LGA), but got 3"),
        ({"origin": None}, ("origin", "null"), "but got null"),
        ({"origin": "x" * 1001}, ("origin", "ill_typed"), "1000 characters, but has 1001"),
        ({"key": ""}, ("key", "ill_typed"), "1 to 256 characters, but has 0"),
        ({"key": 7}, ("key", "ill_typed"), "a string of 1 to 256 characters, but got 7"),
        ({"at": "yesterday"}, ("at", "ill_typed"), "ISO 8601 date and time"),
        ({"at": "2013-02-30T10:00:00Z"}, ("at", "ill_typed"), "ISO 8601"),
        ({"at": "2013-05-01T10:00:00+05:60"}, ("at", "ill_typed"), "ISO 8601"),
        ({"at": "0001-01-01T10:00:00Z"}, ("at", "ill_typed"), "ISO 8601"),
        ({"at": None}, ("at", "null"), "but got null"),
        ({"color": "red"}, ("other", "extra"), "unknown field `color`"),
    ],
)
def test_what_can_not_be_served_is_refused_by_row_and_field(
    reader: RowReader, row: Row, change: Row, note: tuple[str, str], message: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        reader.read([row, {**row, **change}])
    assert "instances[1]" in refusal.value.reason
    assert message in refusal.value.reason
    assert refusal.value.notes == [Note(*note)]
    assert refusal.value.status == 400


@pytest.mark.parametrize("name", ["key", "at", "hour", "temp", "distance", "origin", "carrier"])
def test_a_missing_field_is_named_even_where_null_is_allowed(
    reader: RowReader, row: Row, name: str
) -> None:
    del row[name]
    with pytest.raises(BadRequest, match=f"field `{name}` is missing; it must be") as refusal:
        reader.read([row])
    assert refusal.value.notes == [Note(name, "missing")]


def test_odd_values_are_served_and_noted(reader: RowReader, row: Row) -> None:
    rows = reader.read([{**row, "hour": 24, "origin": "ORD"}, {**row, "temp": -300}])
    assert rows.matrix[:, :4].tolist() == [[24, 61.5, 1400, 3], [10, -300, 1400, 1]]
    assert sorted(rows.notes) == [
        ("hour", "out_of_range"),
        ("origin", "unseen"),
        ("temp", "out_of_range"),
    ]


def test_null_of_a_nullable_field_is_no_anomaly(reader: RowReader, row: Row) -> None:
    rows = reader.read([{**row, "temp": None, "carrier": None}])
    assert np.isnan(rows.matrix[0, [1, 4]]).all()
    assert rows.notes == []


def test_all_mistakes_are_counted_though_few_are_told(reader: RowReader, row: Row) -> None:
    with pytest.raises(BadRequest, match="and 3 more") as refusal:
        reader.read([{**row, "hour": "x"}] * 8)
    assert refusal.value.notes == [Note("hour", "ill_typed")] * 8


def test_of_much_that_is_wrong_the_first_twenty_mistakes_are_looked_at(
    reader: RowReader, row: Row
) -> None:
    with pytest.raises(BadRequest, match="and at least 15 more") as refusal:
        reader.read([{**row, "hour": "x", "origin": "ORD"}] * 5 + [{}] * 5)
    kinds = [n.kind for n in refusal.value.notes if n.kind != "unseen"]
    assert kinds == ["ill_typed"] * 5 + ["missing"] * 15


def test_a_row_of_nothing_but_unknown_fields_costs_no_more_than_a_few(
    reader: RowReader, row: Row
) -> None:
    wide = {**row, **{f"extra{n}": n for n in range(100_000)}}
    with pytest.raises(BadRequest, match=r"`extra4`; .* and at least 15 more") as refusal:
        reader.read([wide, wide])
    assert refusal.value.notes == [Note("other", "extra")]
    assert len(refusal.value.reason) < 1000


def test_each_row_with_unknown_fields_is_counted_once(reader: RowReader, row: Row) -> None:
    with pytest.raises(BadRequest, match="and 1 more") as refusal:
        reader.read([{**row, "a": 1, "b": 2}] * 3)
    assert refusal.value.notes == [Note("other", "extra")] * 3


def test_a_field_of_any_name_is_counted_under_one_label(reader: RowReader, row: Row) -> None:
    for index in range(50):
        with pytest.raises(BadRequest, match="unknown field") as refusal:
            reader.read([{**row, f"extra{index}": 1}])
        assert set(refusal.value.notes) <= set(reader.kinds)


@pytest.mark.parametrize(
    ("instances", "status", "message"),
    [
        ([], 400, "empty"),
        ({}, 400, "must be a list"),
        (None, 400, "must be a list"),
        ([{}] * 11, 413, "may hold 10 rows, but this one has 11"),
        ([7], 400, "must be an object with key, at, hour"),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused(
    reader: RowReader, instances: object, status: int, message: str
) -> None:
    with pytest.raises(BadRequest, match=message) as refusal:
        reader.read(instances)
    assert refusal.value.status == status


VALUES = st.fixed_dictionaries(
    {
        "key": st.text(min_size=1, max_size=256),
        "at": st.datetimes().map(lambda t: t.isoformat() + "Z"),
        "hour": st.integers(-(2**53), 2**53) | st.integers(-99, 99).map(float),
        "temp": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
        "distance": st.floats(-1e38, 1e38) | st.integers(-(2**60), 2**60),
        "origin": st.sampled_from(["EWR", "JFK", "LGA"]) | st.text(max_size=20),
        "carrier": st.none() | st.text(max_size=20),
    }
)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_a_row_is_encoded_exactly_as_in_training(
    package: ModelPackage, rows: list[dict[str, Any]]
) -> None:
    reader = RowReader(package.signature, max_rows=5)
    try:
        served = reader.read(rows).matrix
    except BadRequest as exc:
        assert {n.kind for n in exc.notes if n.feature == "at"} == {"ill_typed"}  # noqa: PT017
        return
    columns = {name: [r[name] for r in rows] for name in rows[0]}
    trained = package.signature.encoder.encode(columns)
    np.testing.assert_array_equal(served, trained)
