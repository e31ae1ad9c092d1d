"""The parquet file of a span: written and read in parts, so that its length costs no memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from kontinual.errors import LakeError
from kontinual.lake.table import REPEATED, WIDTH, column_kinds, impossible, normalise, to_frame
from kontinual.spec import Data

__all__ = ["GROUP_ROWS", "Frames", "SpanFile", "digest_of", "read_parts", "read_tables", "repeated"]

GROUP_ROWS = 65_536
"""Rows of a group in the file, and rows that are in memory at once."""

Frames = Callable[[], Iterable[pd.DataFrame]]
"""The rows of a span in order of time, part by part; may be asked for more than once."""


@dataclass(frozen=True)
class SpanFile:
    """A span's data before it has a number.

    Attributes:
        path: the local file.
        rows: in it, at least one.
        start: time of the first row.
        end: time of the last row.
        kinds: of the columns, by name.
        digest: sha256 of the file, hex.
    """

    path: Path
    rows: int
    start: datetime
    end: datetime
    kinds: dict[str, str]
    digest: str

    @classmethod
    def write(cls, path: Path, frames: Frames, data: Data, *, source: str) -> "SpanFile":
        """Write the rows of a span.

        A column gets the narrowest kind that loses none of its values; where a later part
        asks for a wider one, the file is begun anew.

        Raises:
            LakeError: rows are unusable, or there is none.
        """
        kinds: dict[str, str] = {}
        while True:
            try:
                rows, start, end, kinds = _write(path, frames(), data, source=source, kinds=kinds)
                break
            except _Wider as exc:
                kinds = kinds | exc.kinds
        _refuse_repeated(path, data.id, rows, source=source)
        return cls(path, rows, start, end, kinds, digest_of(path))


class _Wider(Exception):
    """A part needs wider kinds than those before it."""

    def __init__(self, kinds: dict[str, str]) -> None:
        super().__init__(kinds)
        self.kinds = kinds


def digest_of(path: Path) -> str:
    """The sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_parts(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """The rows of a span's file, group by group; the index counts through."""
    for first, table in _groups(path, columns):
        frame = to_frame(table)
        frame.index = pd.RangeIndex(first, first + len(frame))
        yield frame


def read_tables(
    path: Path, rows: npt.NDArray[np.int64], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """The rows of a span's file at these positions, which rise, group by group."""
    for first, table in _groups(path, columns):
        low, high = np.searchsorted(rows, [first, first + len(table)])
        yield table.take(pa.array(rows[low:high] - first))


def repeated(columns: Callable[[], Iterable["pd.Series[Any]"]]) -> "pd.Series[Any]":
    """The values that stand more than once, each as often as it stands; [0] when there is none.

    Of most values only a hash is kept (8 bytes each): the few whose hash recurs are
    looked at again.

    Args:
        columns: the parts of a column of text, [n] together; asked for a second time
            where a hash recurs.
    """
    hashes = np.sort(np.concatenate([_hashes(c) for c in columns()] or [np.zeros(0, np.uint64)]))
    recurring = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(recurring):
        return pd.Series(dtype=object)
    suspects = pd.concat([c[np.isin(_hashes(c), recurring)] for c in columns()])
    twins: pd.Series[Any] = suspects[suspects.duplicated(keep=False)]
    return twins


def _hashes(column: "pd.Series[Any]") -> npt.NDArray[np.uint64]:
    texts = column.astype(str).to_numpy(dtype=object)
    hashes: npt.NDArray[np.uint64] = pd.util.hash_array(texts, categorize=False)
    return hashes


def _groups(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[int, pa.Table]]:
    """Each row group with the position of its first row."""
    first = 0
    with parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=list(columns) if columns else None)
            yield first, table
            first += len(table)


def _write(
    path: Path, frames: Iterable[pd.DataFrame], data: Data, *, source: str, kinds: dict[str, str]
) -> tuple[int, datetime, datetime, dict[str, str]]:
    """Write all parts in the kinds of the first one; rows, first and last time, kinds."""
    rows, start, end, written = 0, None, None, {}
    with ExitStack() as stack:
        writer = None
        for frame in frames:
            table = normalise(frame, data, source=source, kinds=kinds)
            found = column_kinds(table)
            if writer is None:
                written, schema = found, table.schema
                writer = stack.enter_context(
                    parquet.ParquetWriter(path, schema, compression="zstd", version="2.6")
                )
            _refuse_wider(found, written)
            writer.write_table(table.cast(schema), row_group_size=GROUP_ROWS)
            moments = table.column(data.time)
            rows, start, end = rows + len(table), start or moments[0].as_py(), moments[-1].as_py()
    if start is None or end is None:
        raise LakeError(f"{source}: there are no rows, a span needs one at least")
    return rows, start, end, written


def _refuse_wider(found: dict[str, str], written: dict[str, str]) -> None:
    wider = {n: k for n, k in found.items() if k != written[n] and WIDTH[k] > WIDTH[written[n]]}
    if wider:
        raise _Wider(wider)


def _refuse_repeated(path: Path, name: str, rows: int, *, source: str) -> None:
    """Within a part `normalise` has looked already; this is for twins far apart."""
    twins = repeated(lambda: (frame[name] for frame in read_parts(path, [name])))
    if len(twins):
        count = f"{int(twins.duplicated().sum())} of {rows}"
        raise impossible(
            name, twins.iloc[0], REPEATED, row=int(twins.index[0]), count=count, source=source
        )
