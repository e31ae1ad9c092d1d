"""The rows of a history or a table on their way into spans: in a DuckDB file, not in memory.

DuckDB reads parquet, CSV and queries as streams, orders by time what is greater than
memory, and gives it back part by part. Meanwhile the rows take as much space in the
folder for temporary files (`TMPDIR`) as they do in their tables.
"""
# ruff: noqa: S608  names and texts in queries are quoted, all else is a number of ours

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
from fsspec.core import url_to_fs

from kontinual.errors import LakeError
from kontinual.lake.spanfile import GROUP_ROWS, Frames
from kontinual.lake.table import COLLECTED, MOMENTS, NO_TIME, impossible, require, times
from kontinual.spec import Data, History

__all__ = ["Cell", "Rows", "below", "columns_of", "query_rows", "read_table", "table_rows"]

MEMORY_BYTES = 512 * 1024**2
"""What DuckDB uses before it goes to the disk, at least."""
_VECTOR_ROWS = 2048
_GROUP_ROWS = 122_880
"""Rows that DuckDB keeps together; it can not do with less memory than some of these groups."""
_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz", ".csv.zip")
_NULLS = ["", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
"""What pandas, and so most people's tools, write for no value; where a vocabulary holds one of
them, it is a value of that column."""
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
        types = _types(connection, relation)
        require(list(types), [data.id, data.time, data.label.name], source=source)
        self._refuse_numeric_time(relation, types[data.time])
        wanted = [data.id, data.time, data.label.name, *data.feature_names, *COLLECTED]
        self._columns = [name for name in wanted if name in types]
        memory = max(MEMORY_BYTES, 4 * _GROUP_ROWS * 8 * len(self._columns))
        connection.execute(f"SET memory_limit = '{memory // 1024**2}MiB'")
        texts, time = _vocabularies(data), _name(data.time)
        columns = [_column(name, types[name], is_text=name in texts) for name in self._columns]
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
        if kind in {"DOUBLE", "FLOAT"} or _is_exact(kind):
            time = _name(self._data.time)
            query = f"SELECT {time} FROM {relation} LIMIT 1"
            times(self._connection.execute(query).df()[self._data.time], source=self._source)

    def _refuse_bad_times(self) -> None:
        low, high = map(_micros, MOMENTS)
        none = f"(_moment >= {low} AND _moment < {high}) IS NOT TRUE"
        bad, of, row = self._ask(
            f"SELECT count(*) FILTER ({none}), count(*), min(rowid) FILTER ({none}) FROM taken"
        )[0]
        if bad:
            query = f"SELECT {_name(self._data.time)} FROM taken WHERE rowid = {row}"
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
            return list(_types(connection, _asked(history.query or "")))
        paths = _found(below(base, history.table), folder)
        return list(_types(connection, _relation(connection, paths, {})))


def below(base: str, table: str) -> str:
    """A path or URL that may count from a folder or URL."""
    is_absolute = "://" in table or Path(table).is_absolute()
    return table if is_absolute else f"{base.rstrip('/')}/{table}"


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
        paths = _found(url, folder)
        relation = _relation(connection, paths, _vocabularies(data))
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
        relation = _relation(connection, _found(url, folder), dict.fromkeys(texts, ()))
        types = _types(connection, relation).items()
        columns = [_column(name, kind, is_text=name in texts) for name, kind in types]
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


def _found(url: str, folder: Path) -> list[str]:
    try:
        return _local_files(url, folder)
    except (OSError, ValueError, ImportError) as exc:
        raise LakeError(f"{url}: the table can not be read: {exc}") from exc


def _local_files(url: str, folder: Path) -> list[str]:
    """The files of a table, in order; those that DuckDB can not open itself as copies."""
    fs, pattern = url_to_fs(url)
    paths = sorted(fs.glob(pattern)) if fsspec.core.has_magic(pattern) else [pattern]
    if not paths:
        raise LakeError(f"{url}: no file matches")
    for path in paths:
        if not path.lower().endswith(_PARQUET + _CSV):
            raise LakeError(f"{path}: a table is a .parquet or .csv file")
        if not fs.exists(path):
            raise LakeError(f"{url}: there is no such file")
    return [_local_file(fs, path, folder / str(i)) for i, path in enumerate(paths)]


def _local_file(fs: Any, path: str, copy: Path) -> str:
    zipped = path.lower().endswith(".zip")
    if "file" in fs.protocol and not zipped:
        return path
    target = copy.with_name(f"{copy.name}-{Path(path).name}".removesuffix(".zip"))
    compression = "zip" if zipped else None
    with fs.open(path, "rb", compression=compression) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return str(target)


def _vocabularies(data: Data) -> dict[str, Collection[str]]:
    """The columns that are texts, each with the texts it declares."""
    categories = {f.name: f.vocabulary for f in data.features if f.type == "category"}
    return {data.id: (), **categories}


def _relation(
    connection: Any, paths: Sequence[str], vocabularies: Mapping[str, Collection[str]]
) -> str:
    """What stands behind FROM for these files; columns that are texts are read as written."""
    parquet = [p for p in paths if p.lower().endswith(_PARQUET)]
    csv = [p for p in paths if p not in parquet]
    parts = []
    if parquet:
        parts.append(f"SELECT * FROM read_parquet({_list(parquet)}, union_by_name = true)")
    if csv:
        parts.append(_csv(connection, csv, vocabularies))
    return "(" + " UNION ALL BY NAME ".join(parts) + ")"


def _csv(connection: Any, paths: Sequence[str], vocabularies: Mapping[str, Collection[str]]) -> str:
    """The query for CSV files. DuckDB knows nulls of the whole file only, not of a column."""
    for path in paths:
        _refuse_other_separators(path)
    names = _types(connection, _read_csv(paths, all_varchar="true"))
    # As they are written: an id 007 is not 7.
    texts = {name: set(values) for name, values in vocabularies.items() if name in names}
    kinds = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in texts)
    options = {"sample_size": "-1"}  # a column's type is known when all of it has been seen
    options |= {"types": f"{{{kinds}}}"} if kinds else {}
    relation = _read_csv(paths, nullstr=_list(_NULLS), **options)
    kept = set(_NULLS).intersection(set[str]().union(*texts.values()))
    if not kept:
        return f"SELECT * FROM {relation}"
    types = _types(connection, relation)
    nulls = [text for text in _NULLS if text not in kept]
    relation = _read_csv(paths, nullstr=_list(nulls), **options)
    columns = [
        _nulled(name, kept - texts.get(name, set()), types[name])
        for name, kind in _types(connection, relation).items()
        if kind == "VARCHAR"
    ]
    return f"SELECT * REPLACE ({', '.join(columns)}) FROM {relation}"


def _refuse_other_separators(path: str) -> None:
    """Tables of many countries separate columns by semicolons, for a comma is in their numbers."""
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8", errors="replace") as file:
        head = file.readline()
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if mark in head and "," not in head:
            delim = mark.replace("\t", "\\t")
            raise LakeError(
                f"{path}: its columns are separated by {name}, and commas are expected; write it "
                "with commas or as parquet, or read it by data.history.query: SELECT * FROM "
                f"read_csv('{Path(path).name}', delim='{delim}', decimal_separator=',')"
            )


def _read_csv(paths: Sequence[str], **options: str) -> str:
    dialect = {"union_by_name": "true", "header": "true", "delim": "','", "quote": "'\"'"}
    given = [f"{name} = {value}" for name, value in (dialect | options).items()]
    return f"read_csv({_list(paths)}, {', '.join(given)})"


def _nulled(name: str, nulls: Collection[str], kind: str) -> str:
    """A column of texts as one of its type, these of them as null."""
    # Of times DuckDB alone knows the format; a time that is null is refused, null or text.
    kind = "VARCHAR" if kind.startswith(("DATE", "TIME")) else kind
    is_null = f"list_contains({_list(sorted(nulls))}, {_name(name)})"
    return f"CAST(CASE WHEN {is_null} THEN NULL ELSE {_name(name)} END AS {kind}) AS {_name(name)}"


def _column(name: str, kind: str, *, is_text: bool) -> str:
    """A column to select. Pandas would make floats of some numbers that are texts, such as ids."""
    quoted = _name(name)
    return f"CAST({quoted} AS VARCHAR) AS {quoted}" if is_text and _is_exact(kind) else quoted


def _is_exact(kind: str) -> bool:
    """Is it DuckDB's type of whole numbers or decimals?"""
    return kind.startswith("DECIMAL") or kind.endswith(("INT", "INTEGER"))


def _types(connection: Any, relation: str) -> dict[str, str]:
    """DuckDB's type of each column."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: kind for name, kind, *_ in described}


def _micros(moment: datetime) -> int:
    """Microseconds since 1970; without an offset the moment is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(text: str) -> str:
    """As a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    """As a name in SQL."""
    return '"' + name.replace('"', '""') + '"'
