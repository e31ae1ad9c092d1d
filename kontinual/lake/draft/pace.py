"""How fast rows come, and the lengths of time that follow from it."""

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

__all__ = ["Pace"]

# Each length that people think in, with the block of time that its holdout is drawn in.
_LENGTHS = {
    timedelta(hours=1): timedelta(minutes=2),
    timedelta(hours=6): timedelta(minutes=10),
    timedelta(days=1): timedelta(hours=1),
    timedelta(days=7): timedelta(hours=6),
    timedelta(days=30): timedelta(days=1),
    timedelta(days=90): timedelta(days=3),
    timedelta(days=365): timedelta(days=7),
}
_SPANS = 3
_WINDOW_ROWS = 1000


@dataclass(frozen=True)
class Pace:
    """The lengths of a draft."""

    rows: int
    length: timedelta

    @classmethod
    def of(cls, times: "pd.Series[pd.Timestamp]") -> "Pace":
        """Of rows with these moments, at least one."""
        return cls(len(times), (times.max() - times.min()).to_pytimedelta())

    @property
    def rows_per_day(self) -> float:
        """Over all; a history of one moment counts as an hour."""
        return self.rows / (max(self.length, timedelta(hours=1)) / timedelta(days=1))

    @property
    def span(self) -> timedelta:
        """The longest that cuts the history into three at least."""
        fitting = [length for length in _LENGTHS if length * _SPANS <= self.length]
        return max(fitting, default=min(_LENGTHS))

    @property
    def holdout_block(self) -> timedelta:
        return _LENGTHS[self.span]

    @property
    def window(self) -> timedelta:
        """The shortest in which enough rows come for a judgement; 90 days at most."""
        choices = [length for length in _LENGTHS if length <= timedelta(days=90)]
        enough = [length for length in choices if self.rows_in(length) >= _WINDOW_ROWS]
        return min(enough, default=max(choices))

    def rows_in(self, length: timedelta) -> float:
        """Rows to be expected in a length of time."""
        return self.rows_per_day * (length / timedelta(days=1))
