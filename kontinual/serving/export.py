"""A journal's counters in Prometheus' terms; the names are those of `kontinual.spec.metrics`."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kontinual.model import Reference
from kontinual.serving.journal import Journal
from kontinual.serving.tally import LATENCY_BUCKETS

__all__ = ["JournalCollector"]

OWN = ("model", "version")
QUALITY = ("roc_auc", "binned_roc_auc", "log_loss", "base_rate", "expected_log_loss")


class JournalCollector(Collector):
    """Reads a journal's counters when Prometheus asks, and exports the reference beside them."""

    def __init__(self, journal: Journal, *, model: str, version: str, created_at: datetime) -> None:
        self._journal, self._tally = journal, journal.tally
        self._own = [model, version]
        self._constant = list(self._reference(journal.tally.reference, created_at))

    def collect(self) -> Iterator[Metric]:
        self._journal.settle()
        self._tally.fold()
        yield from self._rows()
        yield from self._requests()
        yield self._counter(
            "log_dropped",
            "Logged requests given up.",
            ["reason"],
            _keyed(self._journal.log.dropped),
        )
        yield from self._constant

    def _rows(self) -> Iterator[Metric]:
        tally = self._tally
        names = [(f.name, f.bins) for f in tally.reference.features]
        binned = (
            ([name, bin_name], int(count))
            for (name, bins), counts in zip(names, tally.features, strict=True)
            for bin_name, count in zip(bins, counts, strict=True)
        )
        yield self._one("predictions", "Rows answered.", tally.predictions)
        yield self._counter("feature", "Rows by bin of a feature.", ["feature", "bin"], binned)
        yield self._counter(
            "score",
            "Rows by bin of the score.",
            ["bin"],
            (([str(i)], int(n)) for i, n in enumerate(tally.scores)),
        )
        yield self._one("score_sum", "Sum of the scores.", tally.score_sum)
        yield self._one(
            "expected_log_loss", "Sum of the scores' own entropy.", tally.expected_log_loss
        )
        yield self._one(
            "low_confidence", "Rows whose confidence is under 0.6.", tally.low_confidence
        )

    def _requests(self) -> Iterator[Metric]:
        tally = self._tally
        yield self._counter("requests", "HTTP requests.", ["code"], _keyed(tally.requests))
        yield self._counter(
            "input_anomalies",
            "Values that were not as declared.",
            ["feature", "kind"],
            ((list(note), count) for note, count in tally.anomaly.items()),
        )
        yield self._one("anomalous_requests", "Requests with an anomaly.", tally.anomalous_requests)
        bounds = [*map(str, LATENCY_BUCKETS), "+Inf"]
        histogram = HistogramMetricFamily(
            "kontinual_request_seconds", "Time to answer a request.", labels=OWN
        )
        buckets = list(zip(bounds, map(float, accumulate(tally.latency)), strict=True))
        histogram.add_metric(self._own, buckets, tally.latency_sum)
        yield histogram

    def _reference(self, reference: Reference, created_at: datetime) -> Iterator[Metric]:
        shares = (
            ([f.name, bin_name], share)
            for f in reference.features
            for bin_name, share in zip(f.bins, f.shares, strict=True)
        )
        scores = (([str(i)], share) for i, share in enumerate(reference.score_shares))
        quality = {name: getattr(reference.quality, name) for name in QUALITY}
        yield self._gauge(
            "reference_feature_share", "Share of training rows.", ["feature", "bin"], shares
        )
        yield self._gauge("reference_score_share", "Share of holdout rows.", ["bin"], scores)
        yield self._gauge(
            "reference_low_confidence_share",
            "Share of holdout rows whose confidence is under 0.6.",
            [],
            [([], reference.low_confidence_share)],
        )
        yield self._gauge("reference_quality", "Value on holdout.", ["metric"], _keyed(quality))
        yield self._gauge(
            "model_created_seconds",
            "Unix time the package was made.",
            [],
            [([], created_at.timestamp())],
        )

    def _one(self, name: str, help_text: str, value: float) -> Metric:
        return self._counter(name, help_text, [], [([], value)])

    def _counter(
        self,
        name: str,
        help_text: str,
        labels: list[str],
        samples: Iterable[tuple[list[str], float]],
    ) -> Metric:
        family = CounterMetricFamily(f"kontinual_{name}", help_text, labels=[*OWN, *labels])
        for values, count in samples:
            family.add_metric([*self._own, *values], count)
        return family

    def _gauge(
        self,
        name: str,
        help_text: str,
        labels: list[str],
        samples: Iterable[tuple[list[str], float]],
    ) -> Metric:
        family = GaugeMetricFamily(f"kontinual_{name}", help_text, labels=[*OWN, *labels])
        for values, share in samples:
            family.add_metric([*self._own, *values], share)
        return family


def _keyed(counts: Mapping[str, float]) -> Iterator[tuple[list[str], float]]:
    return (([key], count) for key, count in counts.items())
