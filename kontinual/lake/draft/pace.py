"""How fast rows come, and the lengths of time that follow from it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Pace"]


@dataclass(frozen=True)
class _Length:
    """A length that people think in."""

    length: timedelta
    block: timedelta  # of time that its holdout is drawn in
    unit: timedelta  # that lengths near it are whole multiples of


_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_LENGTHS = [
    _Length(_HOUR, 2 * _MINUTE, _MINUTE),
    _Length(6 * _HOUR, 10 * _MINUTE, 15 * _MINUTE),
    _Length(_DAY, _HOUR, _HOUR),
    _Length(7 * _DAY, 6 * _HOUR, 12 * _HOUR),
    _Length(30 * _DAY, _DAY, _DAY),
    _Length(90 * _DAY, 3 * _DAY, _DAY),
    _Length(365 * _DAY, 7 * _DAY, _DAY),
]
_LONGEST_WINDOW = 90 * _DAY
_SPANS = 3
_WINDOW_ROWS = 1000
_WINDOW_RARER = 200  # of them, with the rarer label: an AUC's standard error is 0.02 then


class Pace:
    """The lengths of a draft.

    Args:
        times: moments of the rows, at least one.
        rarer: share of the rows with the rarer label, above 0.
    """

    def __init__(self, times: "pd.Series[Any]", *, rarer: float = 0.5) -> None:
        self.rarer = rarer
        self.rows = len(times)
        # Ingestion cuts from the midnight before the first row on.
        since = times - times.min().floor("D")
        self._offsets: npt.NDArray[np.float64] = since.dt.total_seconds().to_numpy()
        self._reach = timedelta(seconds=float(self._offsets.max()))
        self.length: timedelta = (times.max() - times.min()).to_pytimedelta()
        fitting = [each for each in _LENGTHS if each.length * _SPANS <= self._reach]
        self._about = fitting[-1] if fitting else _LENGTHS[0]

    @property
    def rows_per_day(self) -> float:
        """Over all; a history of one moment counts as an hour."""
        return self.rows / (max(self.length, _HOUR) / _DAY)

    @property
    def span(self) -> timedelta:
        """A length that cuts the history into three at least, with no short rest at its end.

        The rest is the newest span: with few rows it would judge every model by chance.
        """
        unit, about = self._about.unit, self._about.length
        if self._reach < _SPANS * about:
            return about
        lengths = [n * unit for n in range(round(about / unit / 2) + 1, round(1.5 * about / unit))]
        fitting = [each for each in lengths if each * _SPANS <= self._reach + unit]
        return max(fitting, key=lambda each: (round(self._rest(each), 1), -abs(each - about)))

    @property
    def holdout_block(self) -> timedelta:
        return self._about.block

    @property
    def spans(self) -> npt.NDArray[np.intp]:
        """Number of each row's span, from 0, in the order of the given moments."""
        numbers: npt.NDArray[np.intp] = (self._offsets // self.span.total_seconds()).astype(np.intp)
        return numbers

    @property
    def window(self) -> timedelta:
        """The shortest in which enough rows come for a judgement; 90 days at most."""
        return self._window(_WINDOW_ROWS)

    @property
    def quality_window(self) -> timedelta:
        """The same for a judgement by labels, of which the rarer ones count."""
        return self._window(max(_WINDOW_ROWS, _WINDOW_RARER / self.rarer))

    def rows_in(self, length: timedelta) -> float:
        """Rows to be expected in a length of time."""
        return self.rows_per_day * (length / _DAY)

    def _window(self, rows: float) -> timedelta:
        choices = [each.length for each in _LENGTHS if each.length <= _LONGEST_WINDOW]
        enough = [length for length in choices if self.rows_in(length) >= rows]
        return min(enough, default=_LONGEST_WINDOW)

    def _rest(self, length: timedelta) -> float:
        """How full the last span is, in (0, 1]."""
        return (self._reach / length) % 1 or 1.0
