"""What a column holds, counted part by part: exact, however many rows there are."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.validation.expectation import Expectation

__all__ = ["LARGEST", "Tally", "numbers"]

LARGEST = float(np.finfo(np.float32).max)
"""The greatest number that a model can be given; serving takes none beyond it."""

MAX_STRANGERS = 10_000
"""Values outside the vocabulary that are told apart; a column of free text has no end of them."""


class Tally:
    """Counts over all rows of one column.

    Attributes:
        expectation: what is expected of the column.
        rows: all of them.
        nulls: rows without a value.
        odd: values of another type than expected; in parts with such values nothing else
            but nulls is counted.
        example: one of the odd values.
        first: a value; None when there is none.
        varied: are there two different values?
        strangers: values outside the vocabulary, of a category.
        counts: how often each value stands, of a category.
        unfit: values that are infinite, or too great for float32, of a number.
        outside: the other values out of range.
        outside_low: the least of them.
        outside_high: the greatest of them.
        low: the least value that is not unfit, of a number; infinite where there is none.
        high: the greatest.
    """

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self._vocabulary = frozenset(expectation.vocabulary)
        self.rows = self.nulls = self.odd = self.strangers = self.unfit = self.outside = 0
        self.example: Any = None
        self.first: Any = None
        self.varied = False
        self.counts: Counter[str] = Counter()
        self.low = self.outside_low = np.inf
        self.high = self.outside_high = -np.inf

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls

    @property
    def null_share(self) -> float:
        """Share of rows without a value; 0 of no rows."""
        return self.nulls / self.rows if self.rows else 0.0

    def add(self, column: "pd.Series[Any]") -> None:
        """Count a part of the column."""
        present = column.dropna()
        self.rows += len(column)
        self.nulls += len(column) - len(present)
        if present.empty:
            return
        odd = _odd(present, self.expectation)
        if len(odd):
            self.example = odd.iloc[0] if not self.odd else self.example
            self.odd += len(odd)
            return
        first = present.iloc[0] if self.first is None else self.first
        self.first = first
        self.varied = self.varied or bool((present != first).any())
        if self.expectation.categorical:
            self._add_category(present)
        else:
            self._add_numbers(numbers(present))

    def _add_category(self, present: "pd.Series[Any]") -> None:
        for value, count in present.value_counts().items():
            known = value in self._vocabulary
            self.strangers += 0 if known else int(count)
            if known or value in self.counts or len(self.counts) < self._room:
                self.counts[str(value)] += int(count)

    @property
    def _room(self) -> int:
        return MAX_STRANGERS + len(self._vocabulary)

    def _add_numbers(self, values: npt.NDArray[np.float64]) -> None:
        fit = np.abs(values) <= LARGEST
        self.unfit += int((~fit).sum())
        values = values[fit]
        if not len(values):
            return
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        low, high = self.expectation.low, self.expectation.high
        inside = values >= (-np.inf if low is None else low)
        inside &= values <= (np.inf if high is None else high)
        outside = values[~inside]
        if len(outside):
            self.outside += len(outside)
            self.outside_low = min(self.outside_low, float(outside.min()))
            self.outside_high = max(self.outside_high, float(outside.max()))


def numbers(column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    """The values that are there, as float64; ValueError when one is text."""
    return np.asarray(column.dropna(), dtype=np.float64)


def _odd(present: "pd.Series[Any]", expectation: Expectation) -> "pd.Series[Any]":
    """The values of another type than expected."""
    if expectation.categorical:
        return present[[not isinstance(v, str) for v in present]]
    odd = present.iloc[:0]
    if present.dtype.kind not in "iuf":
        odd = present[[isinstance(v, str | bytes | bool | np.bool_) for v in present]]
    if odd.empty and expectation.type == "integer" and present.dtype.kind not in "iu":
        values = numbers(present)
        odd = present[np.floor(values) != values]
    return odd
