from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from kontinual.errors import LakeError
from kontinual.lake import Lake, ingest_history, ingest_table
from kontinual.spec import History


def _with(loop, **history):
    data = loop.data.model_copy(update={"history": History(**history)})
    return loop.model_copy(update={"data": data})


@pytest.fixture
def base(tmp_path, rows):
    """A folder with 25 days of orders: spans of ten days make three of them."""
    rows(600).to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us")
    return str(tmp_path)


def test_the_history_is_cut_into_spans_of_the_declared_length(lake, loop, base):
    written = ingest_history(loop, lake, base=base)

    assert [s.rows for s in written] == [240, 240, 120]
    assert written == lake.spans()
    assert [s.start.day for s in written] == [1, 11, 21]
    assert {s.source for s in written} == {"history"}


def test_every_row_is_in_exactly_one_span(lake, loop, base, rows):
    ingest_history(loop, lake, base=base)

    got = pd.concat([lake.read(n) for n in (1, 2, 3)], ignore_index=True)
    pd.testing.assert_frame_equal(got, rows(600), check_dtype=False)


def test_a_second_ingestion_finds_nothing_new(lake, loop, base):
    ingest_history(loop, lake, base=base)

    assert ingest_history(loop, lake, base=base) == []
    assert len(lake.spans()) == 3


def test_an_interrupted_ingestion_is_taken_up_where_it_ended(lake, loop, base, monkeypatch):
    def dies(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_history(loop, lake, base=base, progress=dies)
    assert [s.rows for s in lake.spans()] == [240]

    assert [s.rows for s in ingest_history(loop, lake, base=base)] == [240, 120]
    assert sum(s.rows for s in lake.spans()) == 600


def test_until_leaves_later_rows_for_another_day(lake, loop, base):
    first = ingest_history(loop, lake, base=base, until=datetime(2026, 1, 16))
    rest = ingest_history(loop, lake, base=base)

    assert [s.rows for s in first] == [240, 120]
    assert [s.rows for s in rest] == [120, 120]  # the second cell's rest, and the third
    assert lake.span(2).end < lake.span(3).start


def test_progress_tells_rows_done_of_all(lake, loop, base):
    told = []
    ingest_history(loop, lake, base=base, progress=lambda done, total: told.append((done, total)))

    assert told == [(240, 600), (480, 600), (600, 600)]


def test_another_ingestion_at_the_same_time_is_noticed(lake, loop, base, rows, monkeypatch):
    real = lake.next_number

    def overtaken():
        number = real()
        lake.write(rows(3, first=900), source="table", number=number)
        return number

    monkeypatch.setattr(lake, "next_number", overtaken)
    with pytest.raises(LakeError, match="span 1 is there already and never changes"):
        ingest_history(loop, lake, base=base)
    assert [s.source for s in lake.spans()] == ["table"]


def test_a_csv_a_glob_and_a_query_say_the_same(tmp_path, loop, rows):
    rows(600)[:300].to_csv(tmp_path / "a1.csv", index=False)
    rows(600)[300:].to_csv(tmp_path / "a2.csv.gz", index=False)
    rows(600).to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us")
    query = "SELECT * EXCLUDE price, price / 1 AS price FROM 'orders.parquet'"
    found = []
    for i, history in enumerate([{"table": "a?.csv*"}, {"query": query}]):
        one = _with(loop, **history)
        lake = Lake(str(tmp_path / f"lake{i}"), one)
        ingest_history(one, lake, base=str(tmp_path))
        found.append(pd.concat([lake.read(s.number) for s in lake.spans()], ignore_index=True))

    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], rows(600), check_dtype=False)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"table": "nope.parquet"}, r"nope\.parquet: there is no such file"),
        ({"table": "nope*.csv"}, r"nope\*\.csv: no file matches"),
        ({"table": "notes.txt"}, "a table is a .parquet or .csv file"),
        ({"table": "broken.parquet"}, r"broken\.parquet: the table can not be read"),
        ({"query": "SELECT * FROM nowhere"}, r"data\.history\.query .*nowhere"),
        ({"table": "untimed.csv"}, r"untimed\.csv: column 'at' is missing"),
        ({"table": "unlabelled.csv"}, r"unlabelled\.csv: column 'returned' is missing"),
    ],
)
def test_a_history_that_can_not_be_read_is_named(lake, loop, tmp_path, rows, history, message):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    rows(5).drop(columns="at").to_csv(tmp_path / "untimed.csv", index=False)
    rows(5).drop(columns="returned").to_csv(tmp_path / "unlabelled.csv", index=False)

    with pytest.raises(LakeError, match=message):
        ingest_history(_with(loop, **history), lake, base=str(tmp_path))
    assert lake.spans() == []


def test_a_query_sees_files_and_not_the_program_s_variables(lake, loop, tmp_path):
    secret = pd.DataFrame({"a": [1]})
    assert len(secret) == 1

    with pytest.raises(LakeError, match="secret"):
        ingest_history(_with(loop, query="SELECT * FROM secret"), lake, base=str(tmp_path))


def test_a_whole_table_becomes_one_span_once(lake, tmp_path, rows):
    table = tmp_path / "june.parquet"
    rows(100).drop(columns="price").to_parquet(table, coerce_timestamps="us")

    span = ingest_table(lake, table=str(table))

    assert (span.number, span.rows, span.source) == (1, 100, "table")
    assert ingest_table(lake, table=Path(table).as_uri()) == span
    assert len(lake.spans()) == 1


def test_rows_that_a_repeated_call_passes_over_are_told(lake, loop, tmp_path, rows, caplog):
    early, late = rows(40), rows(1, first=10_000)
    path = tmp_path / "a.parquet"
    pd.concat([early, late]).to_parquet(path)
    declared = _with(loop, table="a.parquet")
    ingest_history(declared, lake, base=str(tmp_path))
    assert caplog.text == ""

    pd.concat([early, rows(25, first=40), late]).to_parquet(path)
    assert ingest_history(declared, lake, base=str(tmp_path)) == []
    assert "25 rows are in no span, for they are not later than" in caplog.text
