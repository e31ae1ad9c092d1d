"""How much held-out rows can tell: how many there are, and in how many blocks of time."""

import pandas as pd

from kontinual.lake.holdout import blocks_of
from kontinual.spec import Data

__all__ = ["Held"]


class Held:
    """Held-out rows as they are gathered.

    Args:
        data: names the columns with time and label, and the length of a block.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self._blocks: dict[int, set[int]] = {0: set(), 1: set()}
        self.rows = 0

    def add(self, part: pd.DataFrame) -> None:
        """Count rows in; they have the columns with time and label."""
        blocks = blocks_of(part[self._data.time], self._data.holdout_block)
        labels = part[self._data.label.name].to_numpy()
        for label, seen in self._blocks.items():
            seen.update(blocks[labels == label].tolist())
        self.rows += len(part)

    def enough(self, *, rows: int, blocks: int) -> bool:
        """Are there so many rows, and rows of either label in so many blocks of time?"""
        return self.rows >= rows and min(map(len, self._blocks.values())) >= blocks
