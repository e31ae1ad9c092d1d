"""Counters of how predictions turned out, and of what arrived (see `kontinual.spec.metrics`).

They live in the process: a restart is a counter reset, which PromQL's `increase`
understands.
"""

import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from kontinual.collector.records import Ingested, Labelled, Matured, Pruned
from kontinual.collector.store import Store
from kontinual.model import score_bins
from kontinual.model.quality import EPSILON
from kontinual.spec import SCORE_BINS, CategoryFeature, Loop

__all__ = ["VERSIONS_LIMIT", "OutcomeCounters", "log_loss"]

VERSIONS_LIMIT = 100
"""Of which there are series at once: each has a hundred or more, and who sends events names it."""

IDLE_SECONDS = 86_400.0
"""After so long without a prediction or a label a version's series give way to a new one's."""


class OutcomeCounters:
    """All series of the collector, in a registry of its own."""

    def __init__(
        self,
        loop: Loop,
        store: Store,
        registry: CollectorRegistry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = loop.name
        self._slices = {name: _groups(loop, name) for name in loop.data.slices}
        self._monotonic, self._guard = monotonic, Lock()
        self._versions: dict[str, float] = {}  # when something of each came last
        grouped = ("model", "version", "slice", "group")

        def counter(name: str, text: str, labels: Sequence[str]) -> Counter:
            return Counter(f"kontinual_{name}", text, labels, registry=registry)

        self._grouped = {
            "rows": counter("outcomes", "Rows whose label came, its delay being over.", grouped),
            "positives": counter("outcome_positives", "Of these, with label 1.", grouped),
            "score": counter("outcome_score_sum", "Sum of their scores.", grouped),
            "log_loss": counter("outcome_log_loss_sum", "Sum of their log losses.", grouped),
            "brier": counter("outcome_brier_sum", "Sum of (score - label)^2.", grouped),
        }
        by_bin = ("model", "version", "label", "bin")
        self._bins = counter("outcome_bin", "Labelled rows by score bin.", by_bin)
        self._below = counter(
            "outcome_negatives_below",
            "Rows with label 0 in lower score bins than this.",
            ("model", "version", "bin"),
        )
        self._events = counter("events", "Predictions that arrived.", ("model", "result"))
        self._labels = counter("labels", "Labels that arrived.", ("model", "result"))
        self._pruned = counter("pruned_rows", "Rows no longer kept.", ("model", "kind"))
        self._start(registry, store)

    def pruned(self, pruned: Pruned) -> None:
        """Count rows that are no longer kept."""
        for kind, rows in pruned._asdict().items():
            self._pruned.labels(self._model, kind).inc(rows)

    def _start(self, registry: CollectorRegistry, store: Store) -> None:
        for result in ("stored", "duplicate", "invalid"):
            self._events.labels(self._model, result)
        for result in ("joined", "early", "duplicate", "conflict", "invalid"):
            self._labels.labels(self._model, result)
        self.pruned(Pruned())
        gauges = {
            "matured_rows": ("Labelled rows not yet in a span.", lambda: store.counts.untaken),
            "unlabelled_rows": ("Predictions still waiting.", lambda: store.counts.unlabelled),
            "ripening_rows": (
                "Labelled rows whose label's delay is not over.",
                lambda: store.counts.ripening,
            ),
        }
        for name, (text, read) in gauges.items():
            gauge = Gauge(f"kontinual_{name}", text, ["model"], registry=registry)
            gauge.labels(self._model).set_function(read)
        self.expect(store.waiting_versions(limit=VERSIONS_LIMIT))

    def has_room_for(self, versions: Iterable[str]) -> bool:
        """Can these versions have series, beside those of which something came of late?"""
        with self._guard:
            wanted, late = set(versions), self._monotonic() - IDLE_SECONDS
            kept = {v for v, seen in self._versions.items() if seen >= late}
            return len(kept | wanted) <= VERSIONS_LIMIT

    def expect(self, versions: Iterable[str]) -> None:
        """Export every series of these versions, with 0 where nothing came yet.

        A counter that appears with its first row already in it hides that row
        from `increase`. A version for which there is no room gets none.
        """
        with self._guard:
            now = self._monotonic()
            for version in versions:
                if version not in self._versions:
                    if not self._make_room(now):
                        continue
                    for counter, labels in self._series(version):
                        counter.labels(*labels)
                self._versions[version] = now

    def _make_room(self, now: float) -> bool:
        """Forget the version of which nothing came for longest, if one more would be too many."""
        if len(self._versions) < VERSIONS_LIMIT:
            return True
        oldest = min(self._versions, key=lambda version: self._versions[version])
        if now - self._versions[oldest] <= IDLE_SECONDS:
            return False
        del self._versions[oldest]
        for counter, labels in self._series(oldest):
            counter.remove(*labels)
        return True

    def _series(self, version: str) -> Iterator[tuple[Counter, tuple[str, ...]]]:
        """Every series of a version."""
        for name, groups in [("all", ["all"]), *self._slices.items()]:
            for group in groups:
                for counter in self._grouped.values():
                    yield counter, (self._model, version, name, group)
        for b in map(str, range(SCORE_BINS)):
            yield self._below, (self._model, version, b)
            for label in ("0", "1"):
                yield self._bins, (self._model, version, label, b)

    def ingested(self, result: Ingested, *, versions: Iterable[str]) -> None:
        """Count a batch of predictions that was kept."""
        self.expect(versions)
        self._events.labels(self._model, "stored").inc(result.stored)
        self._events.labels(self._model, "duplicate").inc(result.duplicate)
        self.matured(result.matured)

    def labelled(self, result: Labelled) -> None:
        """Count a batch of labels that was kept."""
        for name in ("joined", "early", "duplicate", "conflict"):
            self._labels.labels(self._model, name).inc(getattr(result, name))
        self.matured(result.matured)

    def invalid_events(self, items: int) -> None:
        """Count events that were refused."""
        self._events.labels(self._model, "invalid").inc(items)

    def invalid_labels(self, items: int) -> None:
        """Count labels that were refused."""
        self._labels.labels(self._model, "invalid").inc(items)

    def matured(self, rows: Sequence[Matured]) -> None:
        """Count how rows turned out that became examples."""
        self.expect({row.version for row in rows})
        rows = [row for row in rows if row.version in self._versions]
        if not rows:
            return
        bins = score_bins(np.array([row.score for row in rows]))
        grouped: dict[str, Tally[tuple[str, str, str]]] = {n: Tally() for n in self._grouped}
        binned: Tally[tuple[str, int, int]] = Tally()
        for row, b in zip(rows, bins.tolist(), strict=True):
            binned[row.version, row.label, b] += 1
            values = _values(row)
            for name, group in self._groups_of(row):
                for quantity, value in values.items():
                    grouped[quantity][row.version, name, group] += value  # type: ignore[assignment]
        for quantity, tally in grouped.items():
            for key, value in tally.items():
                self._grouped[quantity].labels(self._model, *key).inc(value)
        self._count_bins(binned)

    def _count_bins(self, binned: "Tally[tuple[str, int, int]]") -> None:
        for (version, label, b), rows in binned.items():
            self._bins.labels(self._model, version, str(label), str(b)).inc(rows)
            if label == 0:
                for above in range(b + 1, SCORE_BINS):
                    self._below.labels(self._model, version, str(above)).inc(rows)

    def _groups_of(self, row: Matured) -> Iterator[tuple[str, str]]:
        yield "all", "all"
        for name, groups in self._slices.items():
            value = row.features.get(name)
            yield name, "null" if value is None else value if value in groups else "unseen"


def _groups(loop: Loop, name: str) -> dict[str, None]:
    """Every group of a slice, as an ordered set."""
    feature = loop.data.feature(name)
    vocabulary = feature.vocabulary if isinstance(feature, CategoryFeature) else []
    return dict.fromkeys([*vocabulary, "unseen", "null"])


def log_loss(score: float, label: int, *, clip: float = EPSILON) -> float:
    """What a score costs when this is the label, in nats; never infinity.

    Args:
        score: the probability of label 1.
        label: 0 or 1.
        clip: the score counts as this far from 0 and 1 at the least.
    """
    chance, clip = score if label else 1 - score, max(clip, EPSILON)
    return -math.log(min(max(chance, clip), 1 - clip))


def _values(row: Matured) -> dict[str, float]:
    """What a labelled row adds to each sum."""
    return {
        "rows": 1,
        "positives": row.label,
        "score": row.score,
        "log_loss": log_loss(row.score, row.label),
        "brier": (row.score - row.label) ** 2,
    }
