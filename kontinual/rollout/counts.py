"""Counters of two versions, and what they grew by since a moment.

Raw counters are compared rather than rates: `rate()` and `increase()` miss the
first value of a counter that has just come to be, and a canary is all beginning.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from kontinual.rollout.sequential import Sample
from kontinual.spec import SCORE_BINS

__all__ = ["Comparison", "CounterWatch", "Counts", "Tally"]

Counts = dict[str, float]
"""Values of one version's counters by `instance|kind` or `instance|kind|bin`.

Kinds: requests, errors (5xx), latency (bin: upper bound in seconds, cumulative), score (bin),
score_sum.
"""

_MIDPOINTS = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS


class Tally(BaseModel):
    """What one version did in some time, over all its instances: `kind` or `kind|bin` → count."""

    counts: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def summed(cls, tallies: Iterable["Tally"]) -> "Tally":
        """All of them together."""
        total: Counter[str] = Counter()
        for tally in tallies:
            total.update(tally.counts)
        return cls(counts=dict(total))

    def of(self, kind: str) -> float:
        return self.counts.get(kind, 0.0)

    @property
    def requests(self) -> float:
        """The gateway also sees requests that never reached the predictor."""
        return max(self.of("requests"), self.of("gateway_requests"))

    @property
    def errors(self) -> float:
        return max(self.of("errors"), self.of("gateway_errors"))

    @property
    def failures(self) -> Sample:
        """Each request as 1 (answered 5xx, or not at all) or 0."""
        return Sample(self.requests, self.errors, self.errors)

    @property
    def scores(self) -> Sample:
        """Scores, with the exact sum where it is counted and the spread from the bins."""
        bins = np.array([self.of(f"score|{i}") for i in range(SCORE_BINS)])
        rows = float(bins.sum())
        return Sample(
            rows, self.of("score_sum") or float(bins @ _MIDPOINTS), float(bins @ _MIDPOINTS**2)
        )

    @property
    def latencies(self) -> list[tuple[float, float]]:
        """Upper bounds in seconds, rising, with the requests at or below each."""
        pairs = [
            (float(key.removeprefix("latency|")), value)
            for key, value in self.counts.items()
            if key.startswith("latency|")
        ]
        return sorted(pairs)


class Comparison(NamedTuple):
    """Canary and stable, observed at the same time."""

    canary: Tally
    stable: Tally


class CounterWatch(BaseModel):
    """Follows raw counters from a first reading on, through restarts of what counts.

    A counter that falls has begun again at 0. A counter that appears has begun
    at 0 if its version is new or its instance was known before; the first sight
    of an unknown instance of an old version is its baseline.
    """

    last: dict[str, Counts]
    grown: dict[str, Counts] = Field(default_factory=dict)

    @classmethod
    def after(cls, before: "CounterWatch | None", first: Mapping[str, Counts]) -> "CounterWatch":
        """Follow on from a reading, and for what it lacks from what was last seen before.

        Prometheus knows no counters of an instance whose last scrape failed; without
        this, all its past would count again when it comes back.
        """
        seen = before.last if before else {}
        return cls(last={v: {**seen.get(v, {}), **counts} for v, counts in first.items()})

    def update(self, now: Mapping[str, Counts], *, new: str) -> None:
        """Take up a later reading; `new` is the version that began at 0."""
        for version, counts in now.items():
            last = self.last.setdefault(version, {})
            grown = self.grown.setdefault(version, {})
            known = {_instance(key) for key in last}
            for key, value in counts.items():
                from_zero = version == new or _instance(key) in known
                before = last.get(key, 0.0 if from_zero else value)
                grown[key] = grown.get(key, 0.0) + (value - before if value >= before else value)
            last.update(counts)

    def tally(self, version: str) -> Tally:
        """What a version's counters grew by, over all instances."""
        total: Counter[str] = Counter()
        for key, value in self.grown.get(version, {}).items():
            total[key.partition("|")[2]] += value  # type: ignore[assignment]  # floats add as well
        return Tally(counts=dict(total))

    def compare(self, canary: str, stable: str | None) -> Comparison:
        """Both versions; without a stable one its tally is empty."""
        return Comparison(self.tally(canary), self.tally(stable) if stable else Tally())


def _instance(key: str) -> str:
    return key.partition("|")[0]
