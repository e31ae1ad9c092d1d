"""Rows that a trial is scored on: the newest, since tomorrow is what is asked for.

A random split would reward a model that remembers days. The holdout is not
touched: a search that has seen it would be judged on what it was chosen by.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kontinual.errors import TrainingError
from kontinual.training import TrainingSet

__all__ = ["VALIDATION_SHARE", "Split", "newest_last"]

VALIDATION_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to fit (n of them) and rows to score on (k)."""

    matrix: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    validation_matrix: npt.NDArray[np.float32]
    validation_labels: npt.NDArray[np.int64]

    def newest(self, share: float) -> "Split":
        """The same validation rows with only the newest `share` (0 to 1) of those to fit on."""
        rows = max(1, round(len(self.labels) * share))
        return replace(self, matrix=self.matrix[-rows:], labels=self.labels[-rows:])

    def save(self, folder: Path) -> None:
        """Write the arrays, for other processes to map into memory."""
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> "Split":
        """The split that `save` wrote; processes share its pages."""
        return cls(
            **{
                name: np.load(folder / f"{name}.npy", mmap_mode="r")
                for name in cls.__dataclass_fields__
            }
        )


def newest_last(data: TrainingSet, *, share: float = VALIDATION_SHARE) -> Split:
    """Cut the training rows by time: the newest `share` of them for validation.

    Raises:
        TrainingError: either part would lack one of the labels.
    """
    order = np.arange(len(data.labels))
    if data.times is not None:
        order = np.argsort(data.times, kind="stable")
    cut = len(order) - max(1, round(len(order) * share))
    fit, check = order[:cut], order[cut:]
    for part, what in ((fit, "older"), (check, "newest")):
        if len(np.unique(data.labels[part])) < 2:
            raise TrainingError(
                f"the search needs both labels among the {what} rows of spans {data.spans}, "
                f"but these {len(part)} have one at most; add rows to the span"
            )
    return Split(
        matrix=data.matrix[fit],
        labels=data.labels[fit],
        validation_matrix=data.matrix[check],
        validation_labels=data.labels[check],
    )
