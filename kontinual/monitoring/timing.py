"""How often is scraped and judged, and how long the windows are, at a loop's speed."""

import math
from dataclasses import dataclass
from datetime import timedelta

from kontinual.spec import AlertKind, Loop, format_duration

__all__ = ["Timing"]

_LEAST_WINDOW = 10  # seconds: ten scrapes at the fastest pace
_SCRAPES_PER_WINDOW = 240
_LEAST_DOWN = 10  # seconds: Prometheus takes up that a target is gone at most every five
_YEAR = timedelta(days=365)  # as far back as the page looks
_LEAST_KEPT = timedelta(days=15)


@dataclass(frozen=True)
class Timing:
    """All durations of a loop in seconds of the wall clock.

    Args:
        loop: the declaration.
        speedup: how many times faster than the wall clock its windows pass.
    """

    loop: Loop
    speedup: float = 1.0

    def __post_init__(self) -> None:
        if not self.speedup >= 1:
            raise ValueError(f"speedup is at least 1, but got {self.speedup!r}")

    def window(self, kind: AlertKind) -> int:
        """The window of a kind of alert; the loop's where it has none of its own."""
        monitoring = self.loop.monitoring
        alert = monitoring.alert(kind)
        declared = monitoring.window_of(alert) if alert else monitoring.window
        return self.scaled(declared, least=_LEAST_WINDOW)

    @property
    def least_window(self) -> int:
        return min(self.window(kind) for kind in AlertKind)

    @property
    def scrape(self) -> int:
        """Seconds between scrapes: 1 to 30, and some hundred in the shortest window."""
        return max(1, min(30, self.least_window // _SCRAPES_PER_WINDOW))

    @property
    def evaluation(self) -> int:
        """Seconds between two evaluations of the rules: two scrapes, or one at the fastest."""
        return 1 if self.scrape == 1 else 2 * self.scrape

    @property
    def kept(self) -> int:
        """How long Prometheus has to keep what it has seen: a year of the loop, and a window more.

        A window that reaches further back than that is judged by a part of its rows, unnoticed.
        """
        longest = max(self.window(kind) for kind in AlertKind)
        return self.scaled(_YEAR, least=math.ceil(_LEAST_KEPT.total_seconds())) + longest

    def hold(self, kind: AlertKind) -> int:
        """How long the condition has to last.

        A service that misses a scrape or two, as one does while it starts, is not down, nor is a
        predictor that was retired a moment ago.
        """
        alert = self.loop.monitoring.alert(kind)
        declared = self.scaled(alert.hold) if alert else 0
        if kind is AlertKind.SERVICE_DOWN:
            return max(declared, 3 * self.scrape, _LEAST_DOWN)
        return declared

    def scaled(self, declared: timedelta, *, least: int = 0) -> int:
        """A declared duration at this speed, in whole seconds, rounded up."""
        return max(least, math.ceil(declared.total_seconds() / self.speedup))

    @staticmethod
    def text(seconds: int) -> str:
        """Seconds as Prometheus and Alertmanager write a duration."""
        return format_duration(timedelta(seconds=seconds))
