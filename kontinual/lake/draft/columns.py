"""What a column of a table can be to a model: a number, a category, or nothing, and why."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.lake.draft.drift import jump, movement, null_rise, tenths

__all__ = ["Feature", "LeftOut", "describe"]

Numbers = npt.NDArray[np.intp]

MAX_CATEGORIES = 1000
MAX_WHOLE = 2.0**53  # every whole number up to here survives JSON
LARGEST = float(np.finfo(np.float32).max)
SHOWN_DIGITS = 6

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_POINTS = "write points, or read them by data.history.query with decimal_separator=','"
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"}
_TEXTS = {"string", "categorical"}
_MOMENTS = {"datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"}


@dataclass(frozen=True)
class Feature:
    """A column that a model can learn from."""

    name: str
    type: str  # number | integer | category
    values: tuple[float, float] | tuple[str, ...]  # plausible range, or vocabulary
    nullable: bool
    seen: str  # what the rows hold, for a person
    movement: float  # population stability index, over the history
    jump: float  # greatest distance of a span to the one before
    null_rise: float  # greatest, from a span to the next

    @property
    def groups(self) -> int:
        """How many groups it cuts the rows into; 0 for a number."""
        return len(self.values) if self.type == "category" else 0


@dataclass(frozen=True)
class LeftOut:
    """A column that is no feature."""

    name: str
    reason: str


def describe(name: str, column: "pd.Series[Any]", spans: Numbers) -> Feature | LeftOut:
    """What the column can be, by all its values.

    Args:
        name: of the column.
        column: its n values in order of time; null is None or NaN.
        spans: number of the span of each.
    """
    present = column.dropna()
    kind = pd.api.types.infer_dtype(present, skipna=True)
    if present.empty:
        return LeftOut(name, "no row has a value")
    if kind in _NUMBERS:
        return _number(name, column, kind, spans)
    if kind in _TEXTS:
        return _category(name, column, spans)
    if kind in _MOMENTS:
        return LeftOut(name, "a time: make numbers of it, such as the hour or the days since")
    return LeftOut(name, f"its values are neither numbers nor texts, but {kind}")


def _number(name: str, column: "pd.Series[Any]", kind: str, spans: Numbers) -> Feature | LeftOut:
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    values = numbers.to_numpy(dtype="float64", na_value=np.nan)
    known = values[~np.isnan(values)]
    low, high = float(known.min()), float(known.max())
    if max(abs(low), abs(high)) > LARGEST:
        return LeftOut(name, "it holds values that are infinite, or too great for float32")
    whole = kind in {"integer", "boolean"}
    if whole and max(abs(low), abs(high)) > MAX_WHOLE:
        return LeftOut(name, "its whole numbers are greater than 2^53: an id?")
    if np.float32(low) == np.float32(high):
        return LeftOut(name, f"every row has the same value, {low:.{SHOWN_DIGITS}g}")
    if whole:
        low, high = int(low), int(high)
        # Where nearly every number between occurs, the ends are most likely the true ones.
        dense = len(np.unique(known)) > 0.9 * (high - low)
        bounds = (low, high) if dense else _widened(low, high, whole=True)
    else:
        bounds = _widened(low, high, whole=False)
    return Feature(
        name=name,
        type="integer" if whole else "number",
        values=bounds,
        nullable=bool(np.isnan(values).any()),
        seen=f"seen: {_span(kind, low, high)}{_nulls(column)}",
        movement=movement(tenths(values)),
        jump=jump(values, spans, category=False),
        null_rise=null_rise(np.isnan(values), spans),
    )


def _category(name: str, column: "pd.Series[Any]", spans: Numbers) -> Feature | LeftOut:
    codes, found = pd.factorize(column.astype(object).map(str, na_action="ignore"))
    vocabulary = tuple(sorted(map(str, found)))
    with_comma = [text for text in vocabulary if _DECIMAL_COMMA.fullmatch(text)]
    if len(with_comma) > len(vocabulary) / 2:
        return LeftOut(name, f"numbers with a decimal comma, such as {with_comma[0]}: {_POINTS}")
    if len(vocabulary) == 1:
        return LeftOut(name, f"every row has the same value, {_short(vocabulary[0])}")
    if len(vocabulary) > MAX_CATEGORIES or 2 * len(vocabulary) > len(column):
        return LeftOut(
            name,
            f"{len(vocabulary)} different texts in {len(column)} rows: an id, or free text",
        )
    return Feature(
        name=name,
        type="category",
        values=vocabulary,
        nullable=bool(column.isna().any()),
        seen=f"seen: {len(vocabulary)} different{_nulls(column)}",
        movement=movement(codes),
        jump=jump(codes, spans, category=True),
        null_rise=null_rise(codes < 0, spans),
    )


def _widened(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """A tenth of the range added at both ends, but not past zero, in a round number."""
    pad = (high - low) / 10
    if not math.isfinite(pad) or pad == 0:
        return max(low, -LARGEST), min(high, LARGEST)
    unit = 10.0 ** math.floor(math.log10(pad))
    unit = max(unit, 1.0) if whole else unit
    below, above = math.floor((low - pad) / unit) * unit, math.ceil((high + pad) / unit) * unit
    below = max(below, 0.0) if low >= 0 else below
    above = min(above, 0.0) if high <= 0 else above
    bounds = max(_round(below, unit), -LARGEST), min(_round(above, unit), LARGEST)
    # Rounding knows no way between neighbouring floats.
    return min(bounds[0], low), max(bounds[1], high)


def _round(value: float, unit: float) -> float:
    """Without the digits that 0.1 + 0.2 has."""
    return round(value, max(0, -math.floor(math.log10(unit)))) if unit < 1 else value


def _span(kind: str, low: float, high: float) -> str:
    if kind == "boolean":
        return "false and true; a request holds 0 and 1"
    return f"{low:.{SHOWN_DIGITS}g} to {high:.{SHOWN_DIGITS}g}"


def _nulls(column: "pd.Series[Any]") -> str:
    share = column.isna().mean()
    shown = f"{share:.1%}" if share >= 0.001 else "under 0.1%"
    return f", {shown} null" if share else ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
