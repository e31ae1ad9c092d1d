"""One look at the rows of a span: exact counts over all of them, and a sample of whole rows.

Where a share decides (nulls, types, ranges, categories) every row counts. Where a
distribution does (units, leakage, the report's pictures) so many rows say all there
is to be said; a span with fewer is its own sample.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kontinual.lake import Lake, repeated
from kontinual.validation.expectation import Expectation
from kontinual.validation.tally import Tally

__all__ = ["SAMPLE_ROWS", "Look", "forgotten", "look", "look_at"]

SAMPLE_ROWS = 200_000


@dataclass(frozen=True)
class Look:
    """What is known of a span's rows.

    Attributes:
        rows: how many there are.
        columns: names of all columns.
        tallies: of the expected columns that are there, by name.
        sample: rows in order of time, at most `SAMPLE_ROWS`.
        twins: ids that stand more than once, as often as they stand.
    """

    rows: int
    columns: list[str]
    tallies: dict[str, Tally]
    sample: pd.DataFrame
    twins: "pd.Series[str]"


def look(
    parts: Callable[[], Iterable[pd.DataFrame]],
    rows: int,
    *,
    expected: Mapping[str, Expectation],
    id_name: str,
) -> Look:
    """Look at a span's rows, part by part.

    Args:
        parts: gives the rows, one part at least; asked for more than once.
        rows: in all parts.
        expected: the columns that the kept schema asks for, by name.
        id_name: column of the ids.
    """
    picked = np.arange(rows)
    if rows > SAMPLE_ROWS:
        picked = np.sort(np.random.default_rng(0).choice(rows, SAMPLE_ROWS, replace=False))
    tallies: dict[str, Tally] = {}
    sample, columns, first = [], [], 0
    for part in parts():
        columns = list(part.columns)
        for name, expectation in expected.items():
            if name in columns:
                tallies.setdefault(name, Tally(expectation)).add(part[name])
        low, high = np.searchsorted(picked, [first, first + len(part)])
        sample.append(part.iloc[picked[low:high] - first])
        first += len(part)
    return Look(
        rows=rows,
        columns=[str(c) for c in columns],
        tallies=tallies,
        sample=pd.concat(sample, ignore_index=True),
        twins=repeated(lambda: (p[id_name] for p in parts() if id_name in p.columns)),
    )


def look_at(lake: Lake, number: int, expected: Mapping[str, Expectation]) -> Look:
    """Look at a span of the lake.

    Raises:
        LakeError: there is no such span, or its data is not what was written.
    """
    span, id_name = lake.span(number), lake.loop.data.id
    gone = forgotten(lake, number, expected)
    columns = [name for name in span.columns if name not in gone]
    return look(lambda: lake.parts(number, columns), span.rows, expected=expected, id_name=id_name)


def forgotten(lake: Lake, number: int, expected: Mapping[str, Expectation]) -> set[str]:
    """Columns of a span that were declared when it was written, and that nobody asks for now.

    Nothing learns from them, and a span never changes: they are not looked at.

    Raises:
        LakeError: there is no such span.
    """
    data = lake.loop.data
    asked = {data.id, data.time, data.label.name, *data.feature_names, *expected}
    return {c for c in lake.span(number).columns if c not in asked and not c.startswith("_")}
