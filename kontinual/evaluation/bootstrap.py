"""Paired bootstrap intervals of the improvement from one model to another.

Notation: n rows in G blocks of time, B resamples.

Whole blocks are drawn with replacement, the same for both models (the cluster bootstrap:
Davison & Hinkley 1997, section 3.8; Field & Welsh 2007; paired, as in Koehn 2004). Pairing
takes out the noise that the two models share. Drawing blocks keeps the noise that the rows of
a block share, such as a day's weather: rows drawn one by one would pretend that each of
thousands of flights on a few days had a weather of its own.

Blocks are few, so the interval is not read off the percentiles, which lie too close then. It is
the estimate plus and minus t standard errors (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap"): t is the 97.5 % point of Student's distribution with E - 1 degrees of freedom, as
for few clusters (Cameron, Gelbach & Miller 2008), and the standard error that of the B
improvements, by sqrt(E / (E - 1)) greater, for draws from E blocks vary that much less than
other E blocks would.

E is how many blocks of one size G blocks count for (Carter, Schnepel & Steigerwald 2017,
"Asymptotic Behavior of a t-Test Robust to Cluster Heterogeneity"), by Kish's
(sum of sizes)^2 / (sum of squared sizes): a day that holds nearly all rows proves hardly more than
itself. ROC AUC compares rows of label 1 with rows of label 0, so for it E is that of the label
whose rows are in fewer blocks: all failures of one day are one day's proof, however many days
had none.

A resample is held as how often each block was drawn. Log loss and Brier score are
then weighted means of the blocks' losses, and ROC AUC comes from weighted counts in
the order of the scores, sorted once (Mann-Whitney, ties counted half), so that
no resample is ever sorted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from kontinual.model.quality import EPSILON
from kontinual.spec import Metric

__all__ = ["RESAMPLES", "Improvement", "improvements", "metric_values"]

RESAMPLES = 1000
COVERAGE = 0.95
FEWEST = 1.5  # blocks of one size: two of which one is not much more than three times the other
_CHUNK = 1 << 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Improvement:
    """One metric of both models and the interval of the improvement, better being positive.

    Attributes:
        champion: its metric.
        challenger: its metric.
        estimate: of the improvement.
        low: lower end of the interval; None where next to all that counts is of one block, so that
            nothing tells how much blocks differ.
        high: the upper end, likewise.
        blocks: how many blocks of one size the rows' blocks count for, 1 or more.
    """

    champion: float
    challenger: float
    estimate: float
    low: float | None
    high: float | None
    blocks: float


def improvements(
    labels: npt.NDArray[np.integer],
    champion: npt.NDArray[np.floating],
    challenger: npt.NDArray[np.floating],
    *,
    blocks: npt.NDArray[np.integer],
    metrics: Sequence[Metric],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> dict[Metric, Improvement]:
    """The improvement by each metric.

    Args:
        labels: 0 or 1, [n].
        champion: its scores, [n].
        challenger: its scores, [n].
        blocks: number of each row's block, [n]; rows of a block are drawn together.
        metrics: which to compare by.
        rng: draws the resamples.
        resamples: B.

    Returns:
        By metric; `roc_auc` is left out where all labels are the same.
    """
    both = 0 < int(labels.sum()) < len(labels)
    asked = [m for m in metrics if both or m != "roc_auc"]
    count, block = _blocks(blocks)
    meters = {
        m: (_meter(m, labels, champion, block), _meter(m, labels, challenger, block)) for m in asked
    }
    drawn: dict[Metric, list[Floats]] = {m: [] for m in asked}
    for weights in _resampled(count, len(labels), resamples if count > 1 else 0, rng):
        for metric, (old, new) in meters.items():
            drawn[metric].append(_better(metric, old(weights), new(weights)))
    once = np.ones((1, count))
    found: dict[Metric, Improvement] = {}
    for metric, (old, new) in meters.items():
        before, after = float(old(once)[0]), float(new(once)[0])
        estimate = float(_better(metric, np.array([before]), np.array([after]))[0])
        half = _half_width(drawn[metric], new.blocks)
        low, high = (None, None) if half is None else (estimate - half, estimate + half)
        found[metric] = Improvement(before, after, estimate, low, high, new.blocks)
    return found


def metric_values(
    metric: Metric,
    labels: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating],
    weights: Floats,
) -> Floats:
    """A metric under each row of weights, float64 [B, n] -> [B]."""
    return _meter(metric, labels, scores, np.arange(len(labels)))(weights)


class _MeanLoss:
    """Mean of the rows' losses, [n], under weights of their blocks, [B, G] -> [B]."""

    def __init__(self, losses: Floats, block: npt.NDArray[np.intp]) -> None:
        self._losses, self._rows = np.bincount(block, losses), np.bincount(block)
        self.blocks = _of_one_size(self._rows)

    def __call__(self, weights: Floats) -> Floats:
        mean: Floats = weights @ self._losses / (weights @ self._rows)
        return mean


class _RocAuc:
    """Share of (positive, negative) pairs in the right order, as weighted; NaN without pairs."""

    def __init__(
        self,
        labels: npt.NDArray[np.integer],
        scores: npt.NDArray[np.floating],
        block: npt.NDArray[np.intp],
    ) -> None:
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        self._block, self._positive = block[order], labels[order] == 1
        self.blocks = min(_of_one_size(np.bincount(block[labels == label])) for label in (0, 1))
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def __call__(self, weights: Floats) -> Floats:
        ordered = weights[:, self._block]
        positives = np.add.reduceat(ordered * self._positive, self._starts, axis=1)
        negatives = np.add.reduceat(ordered * ~self._positive, self._starts, axis=1)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        right = (positives * below).sum(axis=1)
        auc: Floats = np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        return auc


def _meter(
    metric: Metric,
    labels: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating],
    block: npt.NDArray[np.intp],
) -> _MeanLoss | _RocAuc:
    if metric == "roc_auc":
        return _RocAuc(labels, scores, block)
    exact = scores.astype(np.float64)
    if metric == "brier":
        return _MeanLoss((exact - labels) ** 2, block)
    cut = np.clip(exact, EPSILON, 1 - EPSILON)
    return _MeanLoss(-np.where(labels == 1, np.log(cut), np.log1p(-cut)), block)


def _better(metric: Metric, before: Floats, after: Floats) -> Floats:
    return after - before if metric == "roc_auc" else before - after


def _blocks(numbers: npt.NDArray[np.integer]) -> tuple[int, npt.NDArray[np.intp]]:
    """How many different blocks, and which of them each row is in, [n]."""
    distinct, block = np.unique(numbers, return_inverse=True)
    return len(distinct), block


def _of_one_size(rows: npt.NDArray[np.intp]) -> float:
    """How many blocks of one size blocks with so many rows count for; [G]."""
    sizes = rows.astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def _half_width(drawn: Sequence[Floats], blocks: float) -> float | None:
    """Half of the interval, by the improvements of all resamples; None of too few blocks."""
    if blocks < FEWEST:
        return None
    error = np.nanstd(np.concatenate(drawn)) * np.sqrt(blocks / (blocks - 1))
    return float(stats.t.ppf((1 + COVERAGE) / 2, blocks - 1) * error)


def _resampled(
    blocks: int, rows: int, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """How often each block is drawn, float64 [b, G] a time, so many that [b, n] is not large."""
    step = max(1, _CHUNK // rows)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        draws = rng.integers(0, blocks, size=(size, blocks)) + np.arange(size)[:, None] * blocks
        counts = np.bincount(draws.ravel(), minlength=size * blocks)
        yield counts.reshape(size, blocks).astype(np.float64)
