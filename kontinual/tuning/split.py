"""Rows that a trial is scored on: whole blocks of time, as the gates judge by.

A random split would reward a model that remembers days. The newest rows alone would ask
how a model does in a season that it has never seen, and at the start of a loop the answer is
not the best one to retrain: the search and the gates have one ruler. The holdout itself is not
touched: a search that has seen it would be judged on what it was chosen by.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kontinual.errors import TrainingError
from kontinual.lake import spread
from kontinual.training import TrainingSet

__all__ = ["VALIDATION_SHARE", "Split"]

VALIDATION_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows to fit (n of them) and rows to score on (k)."""

    matrix: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    validation_matrix: npt.NDArray[np.float32]
    validation_labels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: TrainingSet, *, share: float = VALIDATION_SHARE) -> "Split":
        """Take blocks of time out of the training rows until `share` of the rows is out.

        Both parts stand in the order of time. Rows that all lie in one block are cut within it.

        Raises:
            TrainingError: either part would lack one of the labels.
        """
        out = _taken_out(data, share)
        order = np.arange(len(out))
        if data.times is not None:
            order = np.argsort(data.times, kind="stable")
        fit, check = order[~out[order]], order[out[order]]
        for part, what in ((fit, "fitted"), (check, "validation")):
            if len(np.unique(data.labels[part])) < 2:
                raise TrainingError(
                    f"the search needs both labels among the {what} rows of spans {data.spans}, "
                    f"but these {len(part)} have one at most; add rows to the span"
                )
        return cls(
            matrix=data.matrix[fit],
            labels=data.labels[fit],
            validation_matrix=data.matrix[check],
            validation_labels=data.labels[check],
        )

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


def _taken_out(data: TrainingSet, share: float) -> npt.NDArray[np.bool_]:
    """Is each row for validation, bool [n]: the blocks that come next after the holdout's."""
    blocks = data.blocks
    if blocks is None or blocks.min() == blocks.max():
        blocks = spread(np.arange(len(data.labels)))
    order, rows = np.unique(blocks, return_counts=True)
    # As near to the share as whole blocks come, and at least one on each side.
    count = int(np.abs(np.cumsum(rows)[:-1] - share * len(blocks)).argmin()) + 1
    taken: npt.NDArray[np.bool_] = blocks <= order[count - 1]
    return taken
