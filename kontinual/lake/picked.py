"""Rows picked from spans by their position: which ones, and how they are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kontinual.lake.manifest import SpanManifest
from kontinual.lake.spanfile import read_tables
from kontinual.lake.table import to_frame

__all__ = ["PickedRows", "Positions", "sample"]

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PickedRows:
    """Rows of spans, read when they are asked for: at once, or part by part.

    Attributes:
        picked: each span with the positions of its rows, which rise; at least one span.
        opened: a span's file, here and undamaged.
    """

    picked: Sequence[tuple[SpanManifest, Positions]]
    opened: Callable[[SpanManifest], AbstractContextManager[Path]]

    def __len__(self) -> int:
        """How many rows they are."""
        return sum(len(rows) for _, rows in self.picked)

    @property
    def columns(self) -> list[str]:
        """The columns that any of the spans has."""
        return list(dict.fromkeys(name for span, _ in self.picked for name in span.columns))

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All of them, span by span; null where a span has no such column.

        Raises:
            LakeError: a span's data is not what was written.
        """
        frames = [
            to_frame(pa.concat_tables(self._tables(span, rows, columns)))
            for span, rows in self.picked
        ]
        return pd.concat(frames, ignore_index=True)

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The same part by part, without the columns that the part's span has not.

        Raises:
            LakeError: as `read`, before the first part of that span.
        """
        for span, rows in self.picked:
            yield from map(to_frame, self._tables(span, rows, columns))

    def _tables(
        self, span: SpanManifest, rows: Positions, columns: Sequence[str] | None
    ) -> Iterator[pa.Table]:
        wanted = [name for name in columns or span.columns if name in span.columns]
        with self.opened(span) as path:
            yield from read_tables(path, rows, wanted)


def sample(
    free: Mapping[int, Positions], wanted: int, rng: np.random.Generator
) -> dict[int, Positions]:
    """A uniform sample without replacement over rows of several spans, by span."""
    if not free:
        return {}
    sizes = [len(rows) for rows in free.values()]
    shares = rng.multivariate_hypergeometric(sizes, min(wanted, sum(sizes)), method="marginals")
    return {
        number: np.sort(rng.choice(rows, size=share, replace=False))
        for (number, rows), share in zip(free.items(), shares, strict=True)
        if share
    }
