"""Curves of one model on the new holdout: ROC, confusion, calibration.

Notation: n rows.
"""

import numpy as np
import numpy.typing as npt

from kontinual.evaluation.records import CalibrationBin, Roc

__all__ = ["calibration", "confusion", "roc"]

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating]
MAX_POINTS = 100


def roc(labels: Labels, scores: Scores) -> Roc:
    """The ROC curve, thinned to 100 points evenly along its length."""
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], labels[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    tpr = np.r_[0.0, np.cumsum(truth)[last] / max(1, truth.sum())]
    fpr = np.r_[0.0, np.cumsum(1 - truth)[last] / max(1, (1 - truth).sum())]
    thresholds = np.r_[1.0, ordered[last].astype(np.float64)]
    kept = _thinned(fpr + tpr)
    return Roc(fpr=fpr[kept].tolist(), tpr=tpr[kept].tolist(), thresholds=thresholds[kept].tolist())


def confusion(labels: Labels, scores: Scores, *, threshold: float = 0.5) -> list[list[int]]:
    """[[tn, fp], [fn, tp]] where scores from the threshold on say 1."""
    cells = np.bincount(2 * labels + (scores >= threshold), minlength=4)
    return [[int(cells[0]), int(cells[1])], [int(cells[2]), int(cells[3])]]


def calibration(labels: Labels, scores: Scores, *, bins: int = 10) -> list[CalibrationBin]:
    """Mean score against share of positives in bins of about equally many rows."""
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    return [
        CalibrationBin(
            rows=len(part),
            mean_score=float(scores[part].mean()),
            positives=float(labels[part].mean()),
        )
        for part in parts
        if len(part)
    ]


def _thinned(length: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Indices of at most 100 points, both ends among them."""
    if len(length) <= MAX_POINTS:
        return np.arange(len(length))
    marks = np.linspace(length[0], length[-1], MAX_POINTS)
    kept = np.unique(np.searchsorted(length, marks))
    kept[-1] = len(length) - 1
    return kept
