"""The held-out rows of each group with both models' scores."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.errors import ModelPackageError
from kontinual.evaluation.records import On
from kontinual.lake import Lake, blocks_of
from kontinual.model import ModelPackage, OnnxModel
from kontinual.spec import Loop

__all__ = [
    "Scored",
    "Scorer",
    "Unscored",
    "constant_scores",
    "old_groups",
    "slice_groups",
    "truth_of",
]

Scores = npt.NDArray[np.float32]
NULL_GROUP = "null"


@dataclass(frozen=True)
class Scored:
    """n held-out rows: their blocks of time [n], labels 0 or 1 [n], and both models' scores [n]."""

    on: On
    group: str
    blocks: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    champion: npt.NDArray[np.floating]
    challenger: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Unscored:
    """A group that can not be scored, and why."""

    on: On
    group: str
    rows: int
    note: str


class Scorer:
    """A model package at work on frames of raw values."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Load a package.

        Raises:
            ModelPackageError: it is incomplete or damaged.
        """
        self.package = ModelPackage.read(folder)
        self._folder = folder
        self._encoder = self.package.signature.encoder
        self._model = OnnxModel.of(folder, threads=threads)

    def scores(self, frame: pd.DataFrame, *, nulls: Collection[str] = ()) -> Scores:
        """Probability of label 1 for each row, float32 [n].

        Args:
            frame: n rows.
            nulls: features that are taken to be null in each row.

        Raises:
            ModelPackageError: the rows lack what the model needs, or a score is no probability.
        """
        names = [f.name for f in self.package.signature.features]
        nothing = np.full(len(frame), np.nan)
        try:
            columns: dict[str, Any] = {
                name: nothing if name in nulls else frame[name].to_numpy() for name in names
            }
            matrix = self._encoder.encode(columns)
        except KeyError as exc:
            raise ModelPackageError(
                f"{self._folder}: the model needs column {exc}, which the rows have not"
            ) from exc
        except ValueError as exc:
            raise ModelPackageError(f"{self._folder}: the rows do not fit: {exc}") from exc
        scores = self._model.predict(matrix)
        wrong = ~((scores >= 0) & (scores <= 1))
        if wrong.any():
            raise ModelPackageError(
                f"{self._folder}: {int(wrong.sum())} of {len(scores)} scores are no probability, "
                f"such as {scores[wrong][0]}"
            )
        return scores


def truth_of(
    loop: Loop, frame: pd.DataFrame
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The block of time of each row, [n], and its label, [n]."""
    data = loop.data
    labels = frame[data.label.name].to_numpy(dtype=np.int64)
    return blocks_of(frame[data.time], data.holdout_block), labels


def constant_scores(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The best constant there is: the share of positives among these very rows, for each, [n]."""
    return np.full(len(labels), labels.mean())


def slice_groups(loop: Loop, frame: pd.DataFrame, new: Scored) -> Iterator[Scored]:
    """The groups of each named slice within the new holdout."""
    for name in loop.data.slices:
        values = frame[name].fillna(NULL_GROUP).to_numpy()
        for value in sorted(set(values)):
            rows = values == value
            yield Scored(
                on="slices",
                group=f"{name}={value}",
                blocks=new.blocks[rows],
                labels=new.labels[rows],
                champion=new.champion[rows],
                challenger=new.challenger[rows],
            )


def old_groups(
    loop: Loop, lake: Lake, *, champion: Scorer, challenger: Scorer, before: int
) -> Iterator[Scored | Unscored]:
    """The holdout of each older accepted span, oldest first, and then that of all of them.

    What is a little worse on each of them is proven by none alone. A span from before a
    feature was declared can not be scored, which is no fault of the challenger.
    """
    found: list[Scored] = []
    for span in lake.accepted():
        if span.number >= before:
            continue
        frame, group = lake.holdout_rows(span.number).read(), f"span {span.number}"
        if frame.empty:
            yield Unscored("old", group, 0, "it holds no held-out row")
            continue
        try:
            scores = champion.scores(frame), challenger.scores(frame)
        except ModelPackageError as exc:
            yield Unscored("old", group, len(frame), str(exc))
            continue
        found.append(Scored("old", group, *truth_of(loop, frame), *scores))
        yield found[-1]
    if len(found) > 1:
        yield _together("old", "all older spans", found)


def _together(on: On, group: str, parts: list[Scored]) -> Scored:
    columns = zip(*((p.blocks, p.labels, p.champion, p.challenger) for p in parts), strict=True)
    return Scored(on, group, *map(np.concatenate, columns))
