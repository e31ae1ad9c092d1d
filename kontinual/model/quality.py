"""How good scores are: one computation for training, tuning and evaluation.

Notation: n rows.
"""

import numpy as np
import numpy.typing as npt

from kontinual.errors import TrainingError
from kontinual.model.reference import Quality, score_bins

__all__ = ["entropy", "quality"]

EPSILON = 1e-7


def quality(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Quality:
    """The quality of scores against the truth.

    Args:
        labels: n values, each 0 or 1.
        scores: n probabilities of label 1; cut to [1e-7, 1 - 1e-7] in the logarithms,
            as every other log loss of Kontinual is.

    Returns:
        The figures; both ROC AUCs are 0.5 where all labels are the same, since no
        order can be wrong then.

    Raises:
        TrainingError: there are no rows, or not as many scores as labels.
    """
    truth = np.asarray(labels, dtype=np.float64)
    score = np.asarray(scores, dtype=np.float64)
    if truth.shape != score.shape or truth.ndim != 1 or not len(truth):
        raise TrainingError(
            "quality needs as many scores as labels, and one row at least, "
            f"but got labels {truth.shape} and scores {score.shape}"
        )
    cut = np.clip(score, EPSILON, 1 - EPSILON)
    return Quality(
        rows=len(truth),
        roc_auc=_roc_auc(truth, score),
        binned_roc_auc=_roc_auc(truth, score_bins(score)),
        log_loss=float(-np.mean(truth * np.log(cut) + (1 - truth) * np.log1p(-cut))),
        brier=float(np.mean((score - truth) ** 2)),
        base_rate=float(truth.mean()),
        expected_log_loss=float(entropy(score).mean()),
    )


def entropy(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Log loss that each score expects of itself, were it well calibrated; [n]."""
    cut = np.clip(np.asarray(scores, dtype=np.float64), EPSILON, 1 - EPSILON)
    loss: npt.NDArray[np.float64] = -(cut * np.log(cut) + (1 - cut) * np.log1p(-cut))
    return loss


def _roc_auc(
    truth: npt.NDArray[np.float64], score: npt.NDArray[np.float64] | npt.NDArray[np.int64]
) -> float:
    """Share of (positive, negative) pairs in the right order, ties counted half.

    By ranks, so that evaluation's bootstrap, which calls it thousands of
    times, needs no scikit-learn.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return 0.5
    _, index, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_rank[index][truth == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
