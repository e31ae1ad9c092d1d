"""Cutting tables into spans: the loop's history at its birth, and any later table."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
from fsspec.core import url_to_fs

from kontinual.errors import LakeError
from kontinual.lake.lake import Lake
from kontinual.lake.manifest import SpanManifest
from kontinual.lake.table import times
from kontinual.spec import History, Loop

__all__ = ["ingest_history", "ingest_table", "read_history", "read_table"]

Progress = Callable[[int, int], None]
"""Told after each span how many rows are written, of how many."""


def ingest_history(
    loop: Loop,
    lake: Lake,
    *,
    base: str,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> list[SpanManifest]:
    """Cut the declared history into spans of `data.span` and write them.

    Rows not later than the last span of history are taken for ingested before,
    so a repeated or interrupted call goes on where the last one ended.

    Args:
        loop: names the table or query.
        lake: where the spans go.
        base: folder or URL that relative paths of the history count from.
        until: rows before this moment only (exclusive; without an offset: UTC).
        progress: told of each span written.

    Returns:
        The spans that were written now; none when there was nothing new.

    Raises:
        LakeError: the table can not be read, or lacks id, time or label.
    """
    source = _described(loop.data.history)
    frame = read_history(loop.data.history, base=base)
    if loop.data.time not in frame.columns:
        raise LakeError(f"{source}: column {loop.data.time!r} is missing")
    moments = times(frame[loop.data.time], source=source)
    before = [s for s in lake.spans() if s.source == "history"]
    keep = pd.Series(True, index=frame.index)
    if before:
        keep &= moments > max(s.end for s in before)
    if until is not None:
        keep &= moments < (until if until.tzinfo else until.replace(tzinfo=UTC))
    anchor = min([s.start for s in before], default=None) or moments.min()
    written: list[SpanManifest] = []
    done, total = 0, int(keep.sum())
    for part in _cut(frame[keep], moments[keep], anchor=anchor, length=loop.data.span):
        number = lake.next_number()
        written.append(lake.write(part, source="history", number=number, origin=source))
        done += len(part)
        if progress:
            progress(done, total)
    return written


def ingest_table(lake: Lake, *, table: str) -> SpanManifest:
    """Write a whole table as one span; the same table a second time gives the same span.

    Args:
        lake: where the span goes; its loop declares the columns. A missing feature is
            written as missing.
        table: path or URL of a parquet or CSV file, or a glob of them.

    Raises:
        LakeError: the table can not be read, or lacks id, time or label.
    """
    frame, number = read_table(table), lake.next_number()
    known = {s.digest: s for s in lake.spans()}
    digest = lake.digest(frame, origin=table)
    if digest in known:
        return known[digest]
    return lake.write(frame, source="table", number=number, origin=table)


def read_history(history: History, *, base: str) -> pd.DataFrame:
    """The rows of a declared history."""
    if history.table is not None:
        return read_table(_resolved(history.table, base))
    return _query(history.query or "", base)


def read_table(url: str) -> pd.DataFrame:
    """All rows of parquet or CSV files.

    Raises:
        LakeError: there is no such file, or it is neither parquet nor CSV.
    """
    try:
        fs, pattern = url_to_fs(url)
        paths = sorted(fs.glob(pattern)) if fsspec.core.has_magic(pattern) else [pattern]
        frames = [_read_file(fs, path) for path in paths]
    except (OSError, ValueError, ImportError) as exc:  # pyarrow's errors are ValueErrors
        raise LakeError(f"{url}: the table can not be read: {exc}") from exc
    if not frames:
        raise LakeError(f"{url}: no file matches")
    return pd.concat(frames, ignore_index=True)


def _read_file(fs: Any, path: str) -> pd.DataFrame:
    name = path.lower()
    if not name.endswith((".parquet", ".pq", ".csv", ".csv.gz", ".csv.zip")):
        raise LakeError(f"{path}: a table is a .parquet or .csv file")
    with fs.open(path, "rb") as file:
        if name.endswith((".parquet", ".pq")):
            return pd.read_parquet(file)
        compression: Any = {"gz": "gzip", "zip": "zip"}.get(name.rsplit(".", 1)[-1])
        return pd.read_csv(file, compression=compression, float_precision="round_trip")


def _query(query: str, base: str) -> pd.DataFrame:
    try:
        import duckdb  # only loops with a query need it
    except ImportError as exc:
        raise LakeError(
            "data.history.query needs DuckDB, which is not in this environment; "
            "install duckdb, or name a table"
        ) from exc
    folder = base.removeprefix("file://")
    with duckdb.connect() as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET file_search_path = ?", [folder])
            # DuckDB opens no path that Python has not seen: names of local variables
            # must not stand for tables.
            connection.execute("SET python_enable_replacements = false")
            frame: pd.DataFrame = connection.execute(query).df()
        except duckdb.Error as exc:
            raise LakeError(f"data.history.query (relative to {folder}): {exc}") from exc
    return frame


def _cut(
    frame: pd.DataFrame, moments: "pd.Series[Any]", *, anchor: datetime, length: Any
) -> Iterator[pd.DataFrame]:
    """The rows of each cell of the grid of this length that starts at the anchor's midnight."""
    start = pd.Timestamp(anchor).floor("D")
    cells = (moments - start) // pd.Timedelta(length)
    for _, part in frame.groupby(cells, sort=True):
        yield part


def _resolved(path: str, base: str) -> str:
    is_absolute = "://" in path or Path(path).is_absolute()
    return path if is_absolute else f"{base.rstrip('/')}/{path}"


def _described(history: History) -> str:
    return f"data.history.table {history.table}" if history.table else "data.history.query"
