"""Fetching labelled rows from the collector: each row becomes part of one span, exactly once.

The collector's store numbers its labelled rows (`_seq`). A span's manifest says up to
which number of which store it reaches, and that manifest is what counts: whatever the
crash, the next call starts after it. The collector is only told so that it may forget. A
collector that lost its store has another one, whose rows are all new.

The rows wait in files until the last one is there, so in memory is one page of them.
"""

import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from kontinual.errors import LakeError
from kontinual.lake.lake import Lake
from kontinual.lake.manifest import Cursor, SpanManifest
from kontinual.lake.source import table_rows
from kontinual.spec import Loop

__all__ = ["ingest_labelled"]

logger = logging.getLogger(__name__)

PAGE_ROWS = 20_000
SEQUENCE = "_seq"


def ingest_labelled(
    loop: Loop,
    lake: Lake,
    *,
    collector: str,
    client: httpx.Client | None = None,
    page_rows: int = PAGE_ROWS,
    attempts: int = 4,
    progress: Callable[[int], None] | None = None,
) -> SpanManifest | None:
    """Write all labelled rows that are in no span yet as one span.

    Args:
        loop: declares the columns.
        lake: where the span goes.
        collector: address of the collector, `http://host:port`.
        client: used in place of a new one.
        page_rows: rows asked for at once.
        attempts: tries of each request when the collector does not answer or answers 5xx.
        progress: told of the rows fetched so far.

    Returns:
        The span, or None when there are no new rows.

    Raises:
        LakeError: the collector can not be reached or answers nonsense; nothing was written.
    """
    number = lake.next_number()
    owned = client or httpx.Client(timeout=60, trust_env=False)  # no proxy knows it
    try:
        source = _Collector(loop, owned, collector.rstrip("/"), attempts=attempts)
        cursor = _reached(lake, source)
        if cursor:
            source.taken(cursor)  # the last call may have died between the span and this
        with tempfile.TemporaryDirectory(prefix="kontinual-labelled-") as folder:
            reached = _fetch(source, cursor, page_rows, Path(folder), progress)
            if reached == cursor:
                return None
            with table_rows(f"{folder}/*.parquet", loop.data, source=collector) as rows:
                span = lake.write(
                    rows.frames(),
                    source="collector",
                    cursor=Cursor(store=source.store, reached=reached),
                    number=number,
                    origin=collector,
                )
        source.taken(reached)
        return span
    finally:
        if client is None:
            owned.close()


def _reached(lake: Lake, source: "_Collector") -> int:
    """The greatest number of the collector's store that is in a span; 0 for none."""
    cursors = [span.cursor for span in lake.spans() if span.cursor]
    own = [cursor.reached for cursor in cursors if cursor.store == source.store]
    if cursors and not own:
        logger.warning(
            "%s has another store than before, %s instead of %s: all its rows are new. "
            "What the former one held after row %d is in no span.",
            source.url,
            source.store,
            cursors[-1].store,
            cursors[-1].reached,
        )
    return max(own, default=0)


class _Collector:
    """The questions asked of a collector, all of the store that it had at first."""

    def __init__(self, loop: Loop, client: httpx.Client, url: str, *, attempts: int) -> None:
        self._loop = loop
        self._client = client
        self.url = url
        self._attempts = attempts
        self.store = self._identity()

    def _identity(self) -> str:
        """The identity of its store."""
        path = "/api/v1/store"
        try:
            found = self._ask("GET", path).json()
            loop, store = found["loop"], found["store"]
        except (ValueError, TypeError, KeyError) as exc:
            raise LakeError(f"GET {self.url}{path}: the answer names no store: {exc!r}") from exc
        if loop != self._loop.name:
            raise LakeError(
                f"{self.url} is the collector of loop {loop!r}, not of {self._loop.name!r}; "
                "set KONTINUAL_COLLECTOR to this loop's"
            )
        return str(store)

    def examples(self, after: int, limit: int) -> tuple[bytes, pa.ChunkedArray]:
        """Labelled rows with a greater sequence number: a parquet file, and their numbers."""
        path = f"/api/v1/examples?store={self.store}&after={after}&limit={limit}"
        content = self._ask("GET", path).content
        try:
            with parquet.ParquetFile(io.BytesIO(content)) as file:
                names = file.schema_arrow.names
                table = file.read(columns=[SEQUENCE]) if SEQUENCE in names else None
        except (ValueError, OSError) as exc:  # pyarrow's errors are ValueErrors
            raise LakeError(f"GET {self.url}{path}: the answer is no parquet: {exc}") from exc
        if table is None:
            raise LakeError(f"GET {self.url}{path}: the answer has no column {SEQUENCE!r}")
        numbers = table.column(SEQUENCE)
        if len(numbers) and pc.min(numbers).as_py() <= after:
            raise LakeError(f"GET {self.url}{path}: the answer holds rows up to {after} again")
        return content, numbers

    def taken(self, cursor: int) -> None:
        """Tell that all rows up to this number are in spans."""
        self._ask("POST", "/api/v1/taken", json={"store": self.store, "cursor": cursor})

    def _ask(self, method: str, path: str, json: dict[str, Any] | None = None) -> httpx.Response:
        address = f"{method} {self.url}{path}"
        retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(multiplier=0.2, max=5) + wait_random(0, 0.2),
            reraise=True,
        )
        try:
            return retrying(self._ask_once, method, self.url + path, json)
        except httpx.HTTPStatusError as exc:
            text = exc.response.text[:200]
            raise LakeError(
                f"{address}: the collector answered {exc.response.status_code}: {text}"
            ) from exc
        except httpx.HTTPError as exc:
            raise LakeError(f"{address}: the collector can not be reached: {exc}") from exc

    def _ask_once(self, method: str, url: str, json: dict[str, Any] | None) -> httpx.Response:
        return self._client.request(method, url, json=json).raise_for_status()


def _passing(error: BaseException) -> bool:
    """May it go better next time?"""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


def _fetch(
    source: _Collector,
    cursor: int,
    limit: int,
    folder: Path,
    progress: Callable[[int], None] | None,
) -> int:
    """Write all pages into a folder, in order; the last row's number, or the cursor as it was."""
    rows = 0
    while True:
        content, numbers = source.examples(cursor, limit)
        if not len(numbers):
            return cursor
        (folder / f"{cursor:020d}.parquet").write_bytes(content)
        cursor, rows = int(pc.max(numbers).as_py()), rows + len(numbers)
        if progress:
            progress(rows)
