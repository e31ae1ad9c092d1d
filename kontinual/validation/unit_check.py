"""Did a number's unit change, in the whole span or in a part of it?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kontinual.validation.expectation import Expectation
from kontinual.validation.findings import Check, Finding
from kontinual.validation.tally import numbers
from kontinual.validation.units import UnitChange, Values, distance_between, unit_change

__all__ = ["check_units"]

PARTS = 4
"""A release upstream falls into the middle of a span as often as between two."""
MIN_PART_ROWS = 200
UNUSUAL = 1.5
"""A part has to be so many times as far away as parts of the span before were of it."""
STEADY = 0.09
"""Where those were farther, the feature comes and goes like weather: a part is only noted."""
ALIKE = 0.1
"""So far from the values before a part may be once converted, to be refused."""


def check_units(
    frame: pd.DataFrame,
    previous: pd.DataFrame | None,
    *,
    time: str,
    expected: Mapping[str, Expectation],
) -> list[Finding]:
    """The number features whose values look converted since the accepted span before.

    Args:
        frame: the span's rows.
        previous: rows of the accepted span before.
        time: column of the rows' time.
        expected: columns that hold what they should, by name.
    """
    if previous is None or frame.empty:
        return []
    found = [
        _check(frame, previous, time, e)
        for n, e in expected.items()
        if e.type == "number" and n in previous.columns
        if pd.api.types.is_numeric_dtype(previous[n])
    ]
    return [f for f in found if f is not None]


def _check(
    frame: pd.DataFrame, previous: pd.DataFrame, time: str, expectation: Expectation
) -> Finding | None:
    """The whole span is looked at first, then its parts."""
    name, unit = expectation.name, expectation.unit
    before = numbers(previous[name])
    change = unit_change(numbers(frame[name]), before, unit=unit)
    if change:
        return _finding(name, change, numbers(frame[name]), before, "", refuses=True)
    for part in _parts(frame, time):
        now = numbers(part[name])
        change = unit_change(now, before, unit=unit)
        usual = _usual(previous, time, name) if change else 0.0
        if change and change.distance > UNUSUAL * usual:
            steady = usual <= STEADY and change.explained <= ALIKE
            first, last = part[time].iloc[0], part[time].iloc[-1]
            since = f" from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
            return _finding(name, change, now, before, since, refuses=steady)
    return None


def _usual(previous: pd.DataFrame, time: str, name: str) -> float:
    """How far a part of the span before was from all of it, at most: weather lasts for days."""
    whole = numbers(previous[name])
    parts = (numbers(part[name]) for part in _parts(previous, time))
    return max((distance_between(p, whole) for p in parts if len(p)), default=0.0)


def _parts(frame: pd.DataFrame, time: str) -> list[pd.DataFrame]:
    """The quarters of a span in order of time; none where they would have too few rows."""
    if len(frame) < PARTS * MIN_PART_ROWS or time not in frame.columns:
        return []
    ordered = frame.sort_values(time, kind="stable")
    return [ordered.iloc[rows] for rows in np.array_split(np.arange(len(ordered)), PARTS)]


def _finding(
    name: str, change: UnitChange, now: Values, before: Values, since: str, *, refuses: bool
) -> Finding:
    return Finding(
        check=Check.UNITS,
        feature=name,
        refuses=refuses,
        sentence=f"`{name}`: its unit seems to have changed{since}, as if {change.conversion}; "
        f"the median went from {np.median(before):.4g} to {np.median(now):.4g}, and converted so "
        f"the two spans agree (distance {change.explained:.2f}) as they do not now "
        f"({change.distance:.2f})",
    )
