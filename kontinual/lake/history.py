"""Cutting tables into spans: the loop's history at its birth, and any later table."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from kontinual.lake.files import below
from kontinual.lake.lake import Lake
from kontinual.lake.manifest import SpanManifest
from kontinual.lake.source import Rows, columns_of, query_rows, table_rows
from kontinual.spec import History, Loop, utc_text

__all__ = ["history_columns", "history_rows", "ingest_history", "ingest_table"]

log = logging.getLogger(__name__)

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
    so a repeated or interrupted call goes on where the last one ended. However
    long the history or a span is, the rows in memory are a few ten thousand.

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
    source = _source(loop.data.history)
    before = [s for s in lake.spans() if s.source == "history"]
    newest = max((s.end for s in before), default=None)
    written: list[SpanManifest] = []
    with history_rows(loop, base=base) as rows:
        cells = rows.cells(
            loop.data.span,
            anchor=min((s.start for s in before), default=None),
            after=newest,
            before=until,
        )
        if newest is not None:
            _tell_left_out(rows.up_to(newest) - sum(s.rows for s in before), newest, source)
        done, total = 0, sum(cell.rows for cell in cells)
        for cell in cells:
            number = lake.next_number()
            frames = rows.frames(cell)
            written.append(lake.write(frames, source="history", number=number, origin=source))
            done += cell.rows
            if progress:
                progress(done, total)
    return written


def _tell_left_out(rows: int, newest: datetime, source: str) -> None:
    """History grows at its end; what came in between, or after a wrong time, is in no span."""
    if rows > 0:
        log.warning(
            "%s: %s rows are in no span, for they are not later than %s, where the newest span of "
            "history ends; if that time is right, take them in as a table of their own (--table)",
            source,
            f"{rows:,}",
            utc_text(newest),
        )


def ingest_table(lake: Lake, *, table: str) -> SpanManifest:
    """Write a whole table as one span; the same table a second time gives the same span.

    Args:
        lake: where the span goes; its loop declares the columns. A missing feature is
            written as missing.
        table: path or URL of a parquet or CSV file, or a glob of them.

    Raises:
        LakeError: the table can not be read, or lacks id, time or label.
    """
    number = lake.next_number()
    with table_rows(table, lake.loop.data, source=table) as rows:
        frames = rows.frames()
        return lake.write(frames, source="table", number=number, origin=table, once=True)


def history_rows(loop: Loop, *, base: str) -> AbstractContextManager[Rows]:
    """All rows of the declared history.

    Args:
        loop: names the table or query.
        base: folder or URL that relative paths of the history count from.

    Raises:
        LakeError: the table can not be read, or lacks id, time or label.
    """
    history, data = loop.data.history, loop.data
    source = _source(history)
    if history.table is None:
        return query_rows(history.query or "", base, data, source=source)
    return table_rows(below(base, history.table), data, source=source)


def history_columns(loop: Loop, *, base: str) -> list[str]:
    """The columns of the declared history; no row is read.

    Args:
        loop: names the table or query.
        base: folder or URL that relative paths of the history count from.

    Raises:
        LakeError: it can not be read.
    """
    return columns_of(loop.data.history, base, source=_source(loop.data.history))


def _source(history: History) -> str:
    """What messages call it."""
    return f"data.history.table {history.table}" if history.table else "data.history.query"
