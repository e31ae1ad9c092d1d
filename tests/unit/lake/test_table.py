"""What a span's columns may hold, and what is refused at the door."""

import pandas as pd
import pytest

from kontinual.errors import LakeError


@pytest.mark.parametrize("column", ["order", "at", "returned"])
def test_id_time_and_label_are_needed(lake, rows, column):
    with pytest.raises(LakeError, match=rf"orders\.csv: column '{column}' is missing; the columns"):
        lake.write(rows(5).drop(columns=column), source="table", origin="orders.csv")
    assert lake.spans() == []


@pytest.mark.parametrize("column", ["price", "items", "colour"])
def test_a_missing_feature_is_written_for_validation_to_reject(lake, rows, column):
    manifest = lake.write(rows(5).drop(columns=column), source="table")

    assert column not in manifest.columns
    assert column not in lake.read(1).columns


def test_columns_that_no_one_declared_are_left_out(lake, rows):
    lake.write(rows(5).assign(secret=1), source="table")

    assert "secret" not in lake.read(1).columns


def test_what_the_collector_adds_is_kept(lake, rows):
    lake.write(rows(2).assign(_version="3", _score=[0.25, 0.5], _seq=[1, 2]), source="collector")

    frame = lake.read(1)
    assert list(frame["_version"]) == ["3", "3"]
    assert list(frame["_score"]) == [0.25, 0.5]
    assert "_seq" not in frame.columns


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("order", None, "row 2: None is no id"),
        ("order", "", "row 2: '' is no id"),
        ("order", "o1", "row 2: 'o1' stands twice"),
        ("at", None, "is no time"),
        ("at", "9999-12-31T00:00:00Z", "'9999-12-31T00:00:00Z' is no time from 1900 to 2200"),
        ("at", "1899-12-30T23:59:59Z", "is no time from 1900 to 2200"),
        ("at", "yesterday", "row 2: 'yesterday' is no time from 1900 to 2200; write ISO"),
        ("returned", None, "is no label; it is 0 or 1"),
        ("returned", 2, "row 2: 2 is no label"),
        ("returned", "yes", "row 2: 'yes' is no label"),
    ],
)
def test_an_impossible_value_is_named_with_its_row(lake, rows, column, value, message):
    values = rows(5)[column].astype(object).tolist()
    values[2] = value
    frame = rows(5).assign(**{column: pd.Series(values, dtype=object)})

    with pytest.raises(LakeError, match=rf"column '{column}', row 2: .*\(\d of 5 rows\)") as caught:
        lake.write(frame, source="table")
    assert message in str(caught.value)


def test_a_time_in_numbers_is_refused_rather_than_guessed(lake, rows):
    with pytest.raises(LakeError, match=r"column 'at' holds numbers such as .*1767225600"):
        lake.write(rows(2).assign(at=[1767225600, 1767225601]), source="table")


def test_no_rows_are_no_span(lake, rows):
    with pytest.raises(LakeError, match="there are no rows, a span needs one at least"):
        lake.write(rows(0), source="table")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T05:00:00Z",
        "2026-01-01T06:00:00+01:00",
        "2026-01-01 05:00",
        "2026-01-01T05:00:00.000",
    ],
)
def test_a_time_is_utc_however_it_is_written(lake, rows, text):
    # The second row has another precision: ISO 8601 texts may be mixed.
    frame = rows(2).assign(at=[text, "2026-01-02T00:00:00.5Z"])

    manifest = lake.write(frame, source="table")

    assert manifest.start == pd.Timestamp("2026-01-01T05:00:00Z")
    assert str(lake.read(1)["at"].dtype) == "datetime64[ns, UTC]"


def test_kinds_and_fingerprint_hang_on_the_declaration_and_not_on_nulls(lake, rows):
    full = lake.write(rows(4), source="table")
    sparse = rows(4, first=4).astype({"items": object, "colour": object, "price": object})
    sparse.loc[1, ["items", "colour", "price"]] = None
    empty = rows(4, first=8).assign(items=None, colour=None, price=None)

    assert full.columns["items"] == "integer"
    assert lake.write(sparse, source="table").schema_fingerprint == full.schema_fingerprint
    assert lake.write(empty, source="table").schema_fingerprint == full.schema_fingerprint
    assert lake.read(2)["colour"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("items", [1.5, 2.0], "number"),
        ("items", ["three", "4"], "text"),
        ("price", ["12 EUR", None], "text"),
        ("price", ["12.5", "3"], "number"),
        ("colour", [1, 2], "text"),
    ],
)
def test_a_value_of_another_type_changes_the_kind_and_loses_nothing(
    lake, rows, column, values, kind
):
    normal = lake.write(rows(2), source="table")
    odd = lake.write(rows(2, first=2).assign(**{column: values}), source="table")

    assert odd.columns[column] == kind
    assert (odd.schema_fingerprint == normal.schema_fingerprint) == (kind == normal.columns[column])


def test_an_infinite_number_is_kept_for_validation(lake, rows):
    lake.write(rows(2).assign(items=[float("inf"), 1]), source="table")

    assert lake.read(1)["items"].tolist() == [float("inf"), 1.0]
