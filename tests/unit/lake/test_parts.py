"""A span that is greater than memory is written and read part by part, and is no other for it."""

import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from kontinual.errors import LakeError
from kontinual.lake import Lake, ingest_history, ingest_table, read_table, source, spanfile
from kontinual.lake.spanfile import repeated
from kontinual.spec import CategoryFeature, History

PART = 2048  # DuckDB's least


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(spanfile, "GROUP_ROWS", PART)
    monkeypatch.setattr(source, "GROUP_ROWS", PART)


def _parts(frame, size=100):
    return lambda: (frame.iloc[i : i + size] for i in range(0, len(frame), size))


def test_rows_in_parts_make_the_span_that_they_make_at_once(lake, rows):
    whole = lake.write(rows(5000), source="table")
    parts = lake.write(_parts(rows(5000), PART), source="table")

    assert (parts.rows, parts.start, parts.end) == (whole.rows, whole.start, whole.end)
    assert parts.columns == whole.columns
    pd.testing.assert_frame_equal(lake.read(2), lake.read(1))


def test_a_span_is_read_in_parts_that_count_through(lake, rows):
    lake.write(rows(5000), source="table")

    parts = list(lake.parts(1, ["order"]))

    assert [len(p) for p in parts] == [2048, 2048, 904]
    frame = pd.concat(parts)
    assert frame.index.tolist() == list(range(5000))
    assert frame["order"].tolist() == lake.read(1)["order"].tolist()


def test_reading_in_parts_notices_damage_before_the_first_part(lake, rows):
    manifest = lake.write(rows(5000), source="table")
    lake.store.write(f"spans/000001/{manifest.data_file}", b"rot")

    with pytest.raises(LakeError, match="damaged, sha256"):
        next(lake.parts(1))


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [("items", 2.5, "number"), ("items", "many", "text"), ("price", "12 EUR", "text")],
)
def test_a_late_part_widens_the_column_for_all_of_them(lake, rows, column, value, kind):
    frame = rows(300).astype({column: object})
    frame.loc[299, column] = value

    manifest = lake.write(_parts(frame), source="table")

    assert manifest.columns[column] == kind == lake.write(frame, source="table").columns[column]
    assert lake.read(1)[column].tolist() == lake.read(2)[column].tolist()


def test_a_score_that_is_none_widens_too(lake, rows):
    frame = rows(300).assign(_score=0.5).astype({"_score": object})
    frame.loc[299, "_score"] = "none"

    assert lake.write(_parts(frame), source="collector").columns["_score"] == "text"


def test_twins_in_parts_far_from_each_other_are_refused(lake, rows):
    frame = rows(300)
    frame.loc[299, "order"] = "o7"

    with pytest.raises(LakeError, match=r"column 'order', row 7: 'o7' stands twice.*\(1 of 300"):
        lake.write(_parts(frame), source="table")
    assert lake.spans() == []


@given(st.lists(st.text(max_size=2)), st.integers(1, 7))
def test_recurring_values_are_found_however_the_hashes_collide(values, size):
    column = pd.Series(values, dtype=object)
    expected = column[column.duplicated(keep=False)]
    honest = spanfile._hashes
    try:
        for hashes in (honest, lambda c: c.astype(str).str.len().to_numpy(np.uint64)):
            spanfile._hashes = hashes
            found = repeated(_parts(column, size))
            assert found.index.tolist() == expected.index.tolist()
            assert found.tolist() == expected.tolist()
    finally:
        spanfile._hashes = honest


def test_a_history_in_any_order_is_cut_and_ordered_by_time(disk, loop, rows, tmp_path):
    frame = rows(9000).sample(frac=1, random_state=1)
    frame["at"] = frame["at"].dt.floor("D")  # many rows at one moment: they keep their order
    frame.to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us", row_group_size=1000)

    spans = ingest_history(loop, disk, base=str(tmp_path))

    assert len(spans) == 38
    found = pd.concat([disk.read(s.number) for s in spans], ignore_index=True)
    expected = frame.sort_values("at", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_a_table_is_written_in_groups(disk, rows, tmp_path):
    rows(5000).to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us")

    span = ingest_table(disk, table=str(tmp_path / "orders.parquet"))

    file = parquet.ParquetFile(disk.data_url(span.number))
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [2048, 2048, 904]


def test_a_csv_says_what_is_written_in_it(disk, tmp_path):
    (tmp_path / "a.csv").write_text(
        "order,at,price,items,colour,returned\n"
        "007,2026-01-01T00:00:00Z,1.50,NA,red,0\n"
        '"a ""b"", c",2026-01-02 00:00:00.25,,3,None,1\n'
    )

    ingest_table(disk, table=str(tmp_path / "a.csv"))

    frame = disk.read(1)
    assert frame["order"].tolist() == ["007", 'a "b", c']
    assert frame["at"].dt.microsecond.tolist() == [0, 250_000]
    assert frame["price"].isna().tolist() == [False, True]
    assert frame["items"].isna().tolist() == [True, False]
    assert frame["colour"].isna().tolist() == [False, True]


def test_what_a_vocabulary_declares_is_a_value_and_no_null(disk, tmp_path):
    words = ["EU", "NA", '"NA"', "None", '"null"', "", '""']
    (tmp_path / "a.csv").write_text(
        "order,at,price,items,colour,shade,returned\n"
        + "".join(
            f"o{i},2026-01-0{i + 1},{'NA' if i else 1.5},{'None' if i else 3},{word},{word},0\n"
            for i, word in enumerate(words)
        )
    )
    lake = Lake(str(tmp_path / "lake"), _worded(disk.loop, ["EU", "NA", "None"]))

    ingest_table(lake, table=str(tmp_path / "a.csv"))

    frame = lake.read(1).astype(object).where(lambda f: f.notna(), None)
    assert frame["colour"].tolist() == ["EU", "NA", "NA", "None", None, None, None]
    assert frame["shade"].tolist() == ["EU", None, None, None, "null", "", ""]
    assert lake.span(1).columns["price"] == "number"
    assert lake.span(1).columns["items"] == "integer"
    assert frame["price"].tolist() == [1.5, *[None] * 6]
    assert frame["items"].tolist() == [3, *[None] * 6]


def _worded(loop, vocabulary):
    """The loop with these colours, and a shade that may be null by name or empty."""
    colour = CategoryFeature(name="colour", vocabulary=vocabulary)
    shade = CategoryFeature(name="shade", vocabulary=["EU", "null", ""])
    features = [*loop.data.features[:2], colour, shade]
    data = loop.data.model_copy(update={"features": features})
    return loop.model_copy(update={"data": data})


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([10**19 + i for i in range(3)], pa.decimal128(20, 0)),
        ([1000, 1001, 1002], pa.decimal128(20, 0)),
        ([2**63 - 3, 2**63 - 2, 2**63 - 1], pa.int64()),
        ([2**64 - 3, 2**64 - 2, 2**64 - 1], pa.uint64()),
    ],
)
def test_a_text_written_as_a_number_keeps_its_digits(disk, rows, tmp_path, numbers, kind):
    number = Decimal if pa.types.is_decimal(kind) else int
    column = pa.array(map(number, numbers), kind)
    table = pa.Table.from_pandas(rows(3).drop(columns=["order", "colour"]))
    table = table.append_column("order", column).append_column("colour", column)
    parquet.write_table(table, tmp_path / "a.parquet")

    ingest_table(disk, table=str(tmp_path / "a.parquet"))

    expected = list(map(str, numbers))
    assert disk.read(1)["order"].tolist() == disk.read(1)["colour"].tolist() == expected
    frame = read_table(str(tmp_path / "a.parquet"), texts=["order"])
    assert frame["order"].tolist() == expected


@pytest.mark.parametrize("name", ["a.csv.zip", "a.csv.gz", "a.csv"])
def test_a_table_may_be_packed_and_lie_elsewhere(disk, rows, tmp_path, name):
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("a.csv", rows(50).to_csv(index=False))
    else:
        rows(50).to_csv(tmp_path / name, index=False)
    disk.store.write(f"tables/{name}", (tmp_path / name).read_bytes())
    remote = Lake("memory://parts", disk.loop)
    remote.store.write(f"tables/{name}", (tmp_path / name).read_bytes())

    near = ingest_table(disk, table=str(tmp_path / name))
    far = ingest_table(disk, table=remote.path("tables", name))

    assert near == far
    pd.testing.assert_frame_equal(disk.read(1), rows(50), check_dtype=False)


def test_parquet_and_csv_are_one_table(disk, rows, tmp_path):
    rows(50)[:20].to_parquet(tmp_path / "a1.parquet", coerce_timestamps="us")
    rows(50)[20:].drop(columns="items").to_csv(tmp_path / "a2.csv", index=False)

    ingest_table(disk, table=str(tmp_path / "a*"))

    frame = disk.read(1)
    assert frame["order"].tolist() == rows(50)["order"].tolist()
    assert frame["items"].isna().sum() == 30


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (["2026-01-01", "soon", "2026-01-03"], r"column 'at', row 1: 'soon' is no time.*\(1 of 3"),
        (["2026-01-01", "", "2026-01-03"], r"column 'at', row 1: None is no time"),
        ([1767225600, 1767225601, 1767225602], r"column 'at' holds numbers such as .*1767225600"),
        (
            ["2026-01-01", "2026-01-02", "9999-12-31"],
            r"column 'at', row 2: '9999-12-31' is no time from 1900 to 2200.*\(1 of 3",
        ),
    ],
)
def test_a_time_that_is_none_is_named_with_its_row(disk, rows, tmp_path, at, message):
    rows(3).assign(at=at).to_csv(tmp_path / "a.csv", index=False)

    with pytest.raises(LakeError, match=message):
        ingest_table(disk, table=str(tmp_path / "a.csv"))
    assert disk.spans() == []


def test_a_value_is_named_with_its_row_in_the_table(disk, rows, tmp_path):
    frame = rows(5000)[::-1].reset_index(drop=True)
    frame.loc[4321, "returned"] = 7
    frame.to_parquet(tmp_path / "a.parquet", coerce_timestamps="us")

    with pytest.raises(LakeError, match="column 'returned', row 4321: 7 is no label"):
        ingest_table(disk, table=str(tmp_path / "a.parquet"))


def test_a_query_may_end_as_queries_do(disk, loop, rows, tmp_path):
    rows(30).to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us")
    history = History(query="SELECT * FROM 'orders.parquet'  -- all of them\n;")
    data = loop.data.model_copy(update={"history": history})

    spans = ingest_history(loop.model_copy(update={"data": data}), disk, base=str(tmp_path))

    assert sum(s.rows for s in spans) == 30


def test_a_sample_of_the_training_rows_is_drawn_from_all_of_them(lake, rows, verdict):
    for i in range(3):
        lake.write(rows(400, first=400 * i), source="table")
        lake.judge(verdict(i + 1))
    every = lake.training_rows(3, seed=1).read()

    sample = lake.training_rows(3, seed=1, at_most=100).read()

    assert len(sample) == 100
    assert sample["order"].is_unique
    assert set(sample["order"]) <= set(every["order"])
    assert len(set(sample["order"].str[1:].astype(int) // 400)) == 3
    assert len(lake.training_rows(3, seed=1, at_most=10_000)) == len(every)


@pytest.mark.parametrize(
    ("mark", "name", "written"),
    [(";", "semicolons", ";"), ("\t", "tabs", r"\t"), ("|", "bars", "|")],
)
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_other_separators_are_named_with_the_way_to_read_them(
    disk, rows, tmp_path, mark, name, written, ending
):
    path = tmp_path / f"a.{ending}"
    rows(30).to_csv(path, index=False, sep=mark, decimal=",")

    with pytest.raises(LakeError) as caught:
        ingest_table(disk, table=str(path))
    assert f"its columns are separated by {name}, and commas are expected" in str(caught.value)

    shown = str(caught.value).partition("data.history.query: ")[2]
    assert f"delim='{written}'" in shown
    query = shown.replace(f"{path.name}", str(path))
    data = disk.loop.data.model_copy(update={"history": History(query=query)})
    loop = disk.loop.model_copy(update={"data": data})
    spans = ingest_history(loop, Lake(str(tmp_path / "other"), loop), base=str(tmp_path))
    assert sum(span.rows for span in spans) == 30
    price = Lake(str(tmp_path / "other"), loop).read(spans[0].number)["price"]
    assert price.iloc[0] == pytest.approx(rows(30)["price"][0])


def test_trouble_with_a_table_shows_no_query_of_ours(disk, tmp_path):
    with pytest.raises(LakeError, match=r"nix\.parquet: there is no such file$"):
        ingest_table(disk, table=str(tmp_path / "nix.parquet"))

    (tmp_path / "rot.parquet").write_bytes(b"rot")
    with pytest.raises(LakeError) as caught:
        ingest_table(disk, table=str(tmp_path / "rot.parquet"))
    assert "rot.parquet" in str(caught.value)
    assert "SELECT" not in str(caught.value)


@pytest.mark.parametrize("kind", ["Int64", "boolean", "object"])
def test_a_row_without_a_label_yet_is_refused_by_its_row(lake, rows, kind):
    label = pd.array([1, 0, None, 1], dtype=kind)

    with pytest.raises(LakeError, match=r"column 'returned', row 2: .* is no label; it is 0 or 1"):
        lake.write(rows(4).assign(returned=label), source="table")
