"""The rows of a history or a table on their way into spans: in a DuckDB file, not in memory.

DuckDB reads parquet, CSV and queries as streams, orders by time what is greater than
memory, and gives it back part by part. Meanwhile the rows take as much space in the
folder for temporary files (`TMPDIR`) as they do in their tables.
"""
# ruff: noqa: S608  names and texts in queries are quoted, all else is a number of ours

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from kontinual.errors import LakeError
from kontinual.lake.files import (
    as_name,
    below,
    column_names,
    column_types,
    files_of,
    is_exact,
    relation_of,
    select_column,
)
from kontinual.lake.spanfile import GROUP_ROWS, Frames
from kontinual.lake.table import COLLECTED, MOMENTS, NO_TIME, impossible, require, times
from kontinual.spec import Data, History

__all__ = ["Cell", "Rows", "columns_of", "query_rows", "read_table", "table_rows"]

MEMORY_BYTES = 512 * 1024**2
"""What DuckDB uses before it goes to the disk, at least."""
_VECTOR_ROWS = 2048
_GROUP_ROWS = 122_880
"""Rows that DuckDB keeps together; it can not do with less memory than some of these groups."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Cell:
    """Rows from `low` to below `high`, microseconds since 1970, and how many they are."""

    low: int
    high: int
    rows: int


class Rows:
    """The declared columns of all rows, with the moment of each."""

    def __init__(self, connection: Any, relation: str, data: Data, *, source: str) -> None:
        """Take the rows in.

        Args:
            connection: to DuckDB.
            relation: what stands behind FROM.
            data: the declaration of the columns.
            source: named in messages.

        Raises:
            LakeError: id, time or label is missing, or a time is none.
        """
        self._connection = connection
        self._data = data
        self._source = source
        types = column_types(connection, relation)
        require(list(types), [data.id, data.time, data.label.name], source=source)
        self._refuse_numeric_time(relation, types[data.time])
        wanted = [data.id, data.time, data.label.name, *data.feature_names, *COLLECTED]
        self._columns = [name for name in wanted if name in types]
        memory = max(MEMORY_BYTES, 4 * _GROUP_ROWS * 8 * len(self._columns))
        connection.execute(f"SET memory_limit = '{memory // 1024**2}MiB'")
        texts, time = _vocabularies(data), as_name(data.time)
        columns = [
            select_column(name, types[name], is_text=name in texts) for name in self._columns
        ]
        connection.execute(
            f"CREATE TABLE taken AS SELECT {', '.join(columns)}, "
            f"epoch_us(TRY_CAST({time} AS TIMESTAMPTZ)) AS _moment FROM {relation}"
        )
        self._refuse_bad_times()

    def cells(
        self,
        length: timedelta,
        *,
        anchor: datetime | None,
        after: datetime | None,
        before: datetime | None,
    ) -> list[Cell]:
        """The cells that hold rows, in order, of a grid from the anchor's midnight on.

        Args:
            length: of a cell.
            anchor: no row is earlier; the earliest row when left out.
            after: count later rows only.
            before: count earlier rows only.
        """
        (first, last) = self._ask("SELECT min(_moment), max(_moment) FROM taken")[0]
        if first is None:
            return []
        low = first if after is None else _micros(after) + 1
        high = last + 1 if before is None else _micros(before)
        start = _micros(pd.Timestamp(anchor or _EPOCH + first * _MICROSECOND).floor("D"))
        size = length // _MICROSECOND
        counted = self._ask(
            f"SELECT (_moment - {start}) // {size} AS cell, count(*) FROM taken "
            f"WHERE _moment >= {low} AND _moment < {high} GROUP BY cell ORDER BY cell"
        )
        return [
            Cell(max(low, start + c * size), min(high, start + (c + 1) * size), count)
            for c, count in counted
        ]

    def up_to(self, moment: datetime) -> int:
        """How many rows are not later than a moment."""
        ((count,),) = self._ask(f"SELECT count(*) FROM taken WHERE _moment <= {_micros(moment)}")
        return int(count)

    def frames(self, cell: Cell | None = None) -> Frames:
        """The rows of a cell, or all, in order of time; the index is the row in the source."""
        inside = f"WHERE _moment >= {cell.low} AND _moment < {cell.high}" if cell else ""
        query = f"SELECT rowid AS _row, * FROM taken {inside} ORDER BY _moment, _row"
        return lambda: self._stream(query)

    def _stream(self, query: str) -> Iterator[pd.DataFrame]:
        cursor = self._connection.cursor()  # a stream ends at its connection's next question
        cursor.execute(query)
        while len(frame := cursor.fetch_df_chunk(GROUP_ROWS // _VECTOR_ROWS)):
            moments = pd.to_datetime(frame.pop("_moment"), unit="us", utc=True)
            yield frame.assign(**{self._data.time: moments}).set_index("_row")

    def _ask(self, query: str) -> list[Any]:
        found: list[Any] = self._connection.execute(query).fetchall()
        return found

    def _refuse_numeric_time(self, relation: str, kind: str) -> None:
        if kind in {"DOUBLE", "FLOAT"} or is_exact(kind):
            time = as_name(self._data.time)
            query = f"SELECT {time} FROM {relation} LIMIT 1"
            times(self._connection.execute(query).df()[self._data.time], source=self._source)

    def _refuse_bad_times(self) -> None:
        low, high = map(_micros, MOMENTS)
        none = f"(_moment >= {low} AND _moment < {high}) IS NOT TRUE"
        bad, of, row = self._ask(
            f"SELECT count(*) FILTER ({none}), count(*), min(rowid) FILTER ({none}) FROM taken"
        )[0]
        if bad:
            query = f"SELECT {as_name(self._data.time)} FROM taken WHERE rowid = {row}"
            ((value,),) = self._ask(query)
            raise impossible(
                self._data.time,
                value,
                NO_TIME,
                row=row,
                count=f"{bad} of {of}",
                source=self._source,
            )


def columns_of(history: History, base: str, *, source: str) -> list[str]:
    """The columns of a history, without its rows.

    Args:
        history: names a table, or has a query.
        base: folder or URL that relative paths count from.
        source: named in messages.

    Raises:
        LakeError: it can not be read.
    """
    with _duckdb(source) as (connection, folder):
        if history.table is None:
            connection.execute("SET file_search_path = ?", [base.removeprefix("file://")])
            return list(column_types(connection, _asked(history.query or "")))
        return column_names(connection, files_of(below(base, history.table), folder))


@contextmanager
def table_rows(url: str, data: Data, *, source: str) -> Iterator[Rows]:
    """The rows of parquet or CSV files.

    Args:
        url: path or URL of a file, or a glob of them.
        data: the declaration of the columns.
        source: named in messages.

    Raises:
        LakeError: there is no such file, it is neither parquet nor CSV, or its rows are unusable.
    """
    with _duckdb(f"{url}: the table can not be read") as (connection, folder):
        paths = files_of(url, folder)
        relation = relation_of(connection, paths, _vocabularies(data))
        yield Rows(connection, relation, data, source=source)


def read_table(url: str, *, texts: Collection[str] = ()) -> pd.DataFrame:
    """All columns of parquet or CSV files in memory, as ingestion reads them.

    Args:
        url: path or URL of a file, or a glob of them.
        texts: columns that are texts in CSV as well, such as ids.

    Raises:
        LakeError: there is no such file, it is neither parquet nor CSV, or can not be read.
    """
    with _duckdb(f"{url}: the table can not be read") as (connection, folder):
        relation = relation_of(connection, files_of(url, folder), dict.fromkeys(texts, ()))
        types = column_types(connection, relation).items()
        columns = [select_column(name, kind, is_text=name in texts) for name, kind in types]
        query = f"SELECT {', '.join(columns)} FROM {relation}"
        frame: pd.DataFrame = connection.execute(query).df()
        return frame


@contextmanager
def query_rows(query: str, base: str, data: Data, *, source: str) -> Iterator[Rows]:
    """The rows of a query in DuckDB's SQL.

    Args:
        query: a SELECT.
        base: folder that relative paths in it count from.
        data: the declaration of the columns.
        source: named in messages.

    Raises:
        LakeError: the query fails, or its rows are unusable.
    """
    search = base.removeprefix("file://")
    with _duckdb(f"data.history.query (relative to {search})") as (connection, _):
        connection.execute("SET file_search_path = ?", [search])
        yield Rows(connection, _asked(query), data, source=source)


def _asked(query: str) -> str:
    """What stands behind FROM for a query."""
    return f"({query.strip().removesuffix(';')}\n)"


@contextmanager
def _duckdb(what: str) -> Iterator[tuple[Any, Path]]:
    """A database in a folder of its own, for as long as the context lasts."""
    try:
        import duckdb  # only the environments that ingest tables have it
    except ImportError as exc:
        raise LakeError(
            "tables are read by DuckDB, which is not in this environment; install duckdb"
        ) from exc
    with (
        tempfile.TemporaryDirectory(prefix="kontinual-ingest-") as folder,
        duckdb.connect(str(Path(folder) / "rows.duckdb")) as connection,
    ):
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")  # it would write to stdout
            # Each thread wants memory of its own, and pandas, not DuckDB, takes most of the time.
            connection.execute("SET threads = 1")
            # DuckDB opens no path that Python has not seen: names of local variables
            # must not stand for tables.
            connection.execute("SET python_enable_replacements = false")
            yield connection, Path(folder)
        except duckdb.Error as exc:
            # What follows is a line of the query, which people did not write.
            raise LakeError(f"{what}: {str(exc).partition(chr(10) + 'LINE ')[0].strip()}") from exc


def _micros(moment: datetime) -> int:
    """Microseconds since 1970; without an offset the moment is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _vocabularies(data: Data) -> dict[str, Collection[str]]:
    """The columns that are texts, each with the texts it declares."""
    categories = {f.name: f.vocabulary for f in data.features if f.type == "category"}
    return {data.id: (), **categories}
