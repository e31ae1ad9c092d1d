"""Rows to be judged: what is counted of them, and what TFDV says of them, by either way.

TFDV describes rows in memory, or through Beam where a span has `validation.beam.min_rows`
or more; everything else takes one look at them, part by part, whatever their number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from kontinual.lake import Lake
from kontinual.spec import Loop
from kontinual.validation.beam import describe_span
from kontinual.validation.expectation import Expectation
from kontinual.validation.look import Look, forgotten, look, look_at
from kontinual.validation.statistics import describe

__all__ = ["Subject", "of_frame", "of_span", "statistics_of"]

Expectations = Mapping[str, Expectation]


@dataclass(frozen=True)
class Subject:
    """Rows to be judged."""

    look: Look
    describe: Callable[[], Any]

    @cached_property
    def statistics(self) -> Any:
        """TFDV's (a DatasetFeatureStatisticsList), computed when they are first asked for."""
        return self.describe()


def of_frame(frame: pd.DataFrame, loop: Loop, expected: Expectations) -> Subject:
    """Rows in memory."""
    seen = look(lambda: [frame], len(frame), expected=expected, id_name=loop.data.id)
    return Subject(seen, lambda: describe(frame, expected, ignore=_unjudged(loop)))


def of_span(lake: Lake, number: int, expected: Expectations) -> Subject:
    """A span of the lake.

    Raises:
        LakeError: there is no such span, or its data is not what was written.
    """
    seen = look_at(lake, number, expected)
    return Subject(seen, lambda: statistics_of(lake, number, expected))


def statistics_of(lake: Lake, number: int, expected: Expectations) -> Any:
    """TFDV's statistics of a span.

    Raises:
        LakeError: there is no such span, or its data is not what was written.
        KontinualError: TFDV is missing, or Beam could not run.
    """
    ignored = _unjudged(lake.loop) | forgotten(lake, number, expected)
    if lake.span(number).rows >= lake.loop.validation.beam.min_rows:
        return describe_span(lake, number, expected, ignore=ignored)
    return describe(lake.read(number), expected, ignore=ignored)


def _unjudged(loop: Loop) -> set[str]:
    return {loop.data.id, loop.data.time}
