"""Keeping score: the champion's answers and the frozen first model's, on the same rows."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kontinual.local.demo.replay import Answer
from kontinual.model import Quality, quality

__all__ = ["Point", "Scoreboard"]

LEAST_BLOCK = 1000  # rows
MOST_POINTS = 36  # in a year: a storm of two days is not to hide what a month shows
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Quality over a block of consecutive answers."""

    time: str
    version: str
    champion_auc: float
    frozen_auc: float


class Scoreboard:
    """All answers, summed up by month and over the whole replay."""

    def __init__(self) -> None:
        self._answers: dict[int, list[Answer]] = {}
        self._known: dict[tuple[int | None, int], tuple[Quality | None, Quality | None]] = {}

    def add(self, answer: Answer) -> None:
        """Keep an answer. Extra rows do not count: they would weigh months with a run more."""
        if answer.row.extra:
            return
        self._answers.setdefault(answer.row.month, []).append(answer)

    @property
    def months(self) -> list[int]:
        return sorted(self._answers)

    def rows(self, month: int | None = None) -> int:
        """Rows that count, of a month or of all."""
        if month is not None:
            return len(self._answers[month])
        return sum(map(len, self._answers.values()))

    def version(self, month: int) -> str:
        """The version that answered the last row of a month."""
        return self._answers[month][-1].version

    def champion(self, month: int | None = None) -> Quality | None:
        """Quality of what was served; None without both labels among the rows."""
        return self._qualities(month)[0]

    def frozen(self, month: int | None = None) -> Quality | None:
        """Quality of the first model on the same rows."""
        return self._qualities(month)[1]

    def points(self) -> list[Point]:
        """Quality in blocks of rows, in order of time."""
        ordered = sorted(self._of(None), key=lambda a: a.row.time)
        size = max(LEAST_BLOCK, math.ceil(len(ordered) / MOST_POINTS))
        points = []
        for start in range(0, len(ordered) - size + 1, size):
            block = ordered[start : start + size]
            champion = _quality([(a.row.label, a.score) for a in block])
            frozen = _quality([(a.row.label, a.row.frozen) for a in block])
            if champion and frozen:
                points.append(
                    Point(
                        time=block[size // 2].row.time.isoformat(),
                        version=Counter(a.version for a in block).most_common(1)[0][0],
                        champion_auc=champion.roc_auc,
                        frozen_auc=frozen.roc_auc,
                    )
                )
        return points

    def _of(self, month: int | None) -> list[Answer]:
        if month is not None:
            return self._answers[month]
        return [a for answers in self._answers.values() for a in answers]

    def _qualities(self, month: int | None) -> tuple[Quality | None, Quality | None]:
        """Of the served and of the frozen scores; worked out again only when rows came."""
        answers = self._of(month)
        key = (month, len(answers))
        if key not in self._known:
            self._known[key] = (
                _quality([(a.row.label, a.score) for a in answers]),
                _quality([(a.row.label, a.row.frozen) for a in answers]),
            )
        return self._known[key]


def _quality(pairs: list[tuple[int, float]]) -> Quality | None:
    if len({label for label, _ in pairs}) < 2:
        return None
    labels, scores = (np.array(values) for values in zip(*pairs, strict=True))
    return quality(labels, scores)
