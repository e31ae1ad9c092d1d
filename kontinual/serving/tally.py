"""What a predictor counts, cheaply: what happened waits in buffers and is counted many at a time.

Binning one row costs as much as binning a hundred, so rows and times of requests
are folded into the counters when a buffer is full or somebody looks. They wait as bare
numbers: as many objects, living that long, would each need memory that no cache knows.
All of it runs in the event loop's thread; nothing here locks.

Notation: n rows, F features, B bins of one feature.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from kontinual.model import Matrix, Reference, score_bins
from kontinual.serving.fields import Note
from kontinual.spec import LOW_CONFIDENCE, SCORE_BINS

__all__ = ["CODES", "LATENCY_BUCKETS", "Tally", "code_class"]

CODES = ("200", "4xx", "5xx")
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
BUFFER = 4096  # rows, and requests, that wait at most


class Tally:
    """The counters of one version.

    Every attribute only grows; read them after `fold`.

    Attributes:
        predictions: rows answered.
        features: rows per bin, one int64 [B] for each feature of the reference.
        scores: rows per bin of the score, int64 [SCORE_BINS].
        score_sum: sum of the scores.
        expected_log_loss: sum of the scores' entropies, in nats.
        low_confidence: rows whose likelier class has less than LOW_CONFIDENCE.
        anomaly: values by feature and kind.
        anomalous_requests: requests with one anomaly or more.
        requests: requests by class of their HTTP status.
        latency: requests per latency bucket, the last one beyond all bounds; int64.
        latency_sum: seconds.
    """

    def __init__(self, reference: Reference, *, kinds: Iterable[Note] = ()) -> None:
        self.reference = reference
        self.predictions = 0
        self.features = [np.zeros(len(f.bins), np.int64) for f in reference.features]
        self.scores = np.zeros(SCORE_BINS, np.int64)
        self.score_sum = 0.0
        self.expected_log_loss = 0.0
        self.low_confidence = 0
        self.anomaly: Counter[Note] = Counter(dict.fromkeys(kinds, 0))
        self.anomalous_requests = 0
        self.requests = dict.fromkeys(CODES, 0)
        self.latency = np.zeros(len(LATENCY_BUCKETS) + 1, np.int64)
        self.latency_sum = 0.0
        self._matrix = bytearray()
        self._scores = array("f")
        self._seconds = array("d")

    def rows(self, matrix: bytes | Matrix, scores: Iterable[float]) -> None:
        """Rows were answered: matrix float32 [n, F], scores [n]."""
        self._matrix.extend(matrix)
        self._scores.extend(scores)
        if len(self._scores) >= BUFFER:
            self.fold()

    def anomalies(self, notes: Sequence[Note]) -> None:
        """A request was seen with these anomalies; without any it need not be told of."""
        if notes:
            self.anomaly.update(notes)
            self.anomalous_requests += 1

    def request(self, status: int, *seconds: float) -> None:
        """Requests were answered with this HTTP status, each after so long."""
        self.requests[code_class(status)] += len(seconds)
        self._seconds.extend(seconds)
        if len(self._seconds) >= BUFFER:
            self.fold()

    def fold(self) -> None:
        """Count what waits."""
        if self._scores:
            matrix = np.frombuffer(self._matrix, np.float32).reshape(len(self._scores), -1)
            self._count(matrix, np.frombuffer(self._scores, np.float32))
            self._matrix, self._scores = bytearray(), array("f")
        if self._seconds:
            seconds = np.frombuffer(self._seconds)
            buckets = np.searchsorted(LATENCY_BUCKETS, seconds)
            self.latency += np.bincount(buckets, minlength=len(self.latency))
            self.latency_sum += float(seconds.sum())
            self._seconds = array("d")

    def _count(self, matrix: Matrix, scores: npt.NDArray[np.float32]) -> None:
        columns = np.ascontiguousarray(matrix.T)
        for feature, counts, column in zip(
            self.reference.features, self.features, columns, strict=True
        ):
            counts += feature.count(column)
        self.predictions += len(scores)
        self.scores += np.bincount(score_bins(scores), minlength=SCORE_BINS)
        self.low_confidence += int(np.sum(np.maximum(scores, 1 - scores) < LOW_CONFIDENCE))
        self.score_sum += float(scores.sum(dtype=np.float64))
        self.expected_log_loss += _entropy(scores.astype(np.float64))


def code_class(status: int) -> str:
    """The label value of an HTTP status."""
    return "200" if status < 400 else "4xx" if status < 500 else "5xx"


def _entropy(scores: npt.NDArray[np.float64]) -> float:
    """Sum of the scores' entropies in nats; that of a certain score is 0."""
    both = np.concatenate([scores, 1 - scores])
    both = both[both > 0]
    return float(-np.sum(both * np.log(both)))
