"""The rows of one training, as the matrix that serving will see.

Rows are encoded part by part: beside the matrix, in which a value takes 4 bytes, one part of
them is in memory, and what a training needs to know of each row's time.

Notation: n training rows, m holdout rows, F features in the loop's order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.errors import TrainingError
from kontinual.lake import holdout_order
from kontinual.model import Encoder, Matrix
from kontinual.spec import CategoryFeature, Loop

__all__ = ["Labels", "Rows", "SpanSource", "TrainingSet", "prepare"]

Labels = npt.NDArray[np.int64]


class Rows(Protocol):
    """Rows that may be too many for a frame."""

    def __len__(self) -> int: ...

    @property
    def columns(self) -> Sequence[str]:
        """Each column that any part has."""
        ...

    def parts(self, columns: Sequence[str], /) -> Iterable[pd.DataFrame]:
        """The rows part by part, each with those of these columns that it has."""
        ...


class SpanSource(Protocol):
    """What training asks of the lake."""

    def training_rows(self, newest: int, /, *, seed: int) -> Rows:
        """Rows of the newest span and a sample of the older accepted ones, no holdout row."""
        ...

    def recent_holdout(self, newest: int, /) -> tuple[list[int], Rows]:
        """The newest rows that no training sees, behind the numbers of their spans."""
        ...

    def accepted(self) -> list[Any]:
        """Manifests of the accepted spans; each has a `number`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Encoded rows: what is learnt from, and what the result is judged on.

    Attributes:
        matrix: float32 [n, F].
        labels: 0 or 1, [n].
        holdout_matrix: float32 [m, F].
        holdout_labels: 0 or 1, [m].
        spans: numbers of the spans behind the training rows.
        times: when each training row happened, int64 [n], any unit; None means that the rows
            stand in the order of time.
        blocks: where each training row's block of time stands in the order in which blocks are
            held out (`kontinual.lake.holdout_order`), [n]; None means that each row is a block.
    """

    matrix: Matrix
    labels: Labels
    holdout_matrix: Matrix
    holdout_labels: Labels
    spans: list[int]
    times: npt.NDArray[np.int64] | None = None
    blocks: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        loop: Loop,
        rows: Rows | pd.DataFrame,
        holdout: Rows | pd.DataFrame,
        *,
        spans: list[int],
    ) -> "TrainingSet":
        """The training set of rows with the loop's columns.

        A feature is null in a part that lacks its column, as spans do that are older than it.

        Raises:
            TrainingError: there is no row, a column is ill-typed or in no part, or the training
                rows hold only one of the two labels.
        """
        train, held = _encoded(loop, rows, "training"), _encoded(loop, holdout, "holdout")
        if train.labels.min() == train.labels.max():
            raise TrainingError(
                f"spans {spans}: all {len(train.labels)} training rows have "
                f"{loop.data.label.name} = {train.labels[0]}; both labels are needed to learn from"
            )
        return cls(
            matrix=train.matrix,
            labels=train.labels,
            holdout_matrix=held.matrix,
            holdout_labels=held.labels,
            spans=spans,
            times=train.times,
            blocks=train.blocks,
        )


def prepare(loop: Loop, lake: SpanSource, newest: int, *, seed: int) -> TrainingSet:
    """The training set with a span as its newest, older accepted spans replayed.

    The holdout is that of the newest span, and of earlier ones as far as it is short of blocks of
    time. The same lake, span and seed give the same set.

    Raises:
        LakeError: a span is damaged.
        TrainingError: the rows can not be trained on.
    """
    older = [s.number for s in lake.accepted() if s.number < newest]
    replayed = older if loop.data.replay_rows else []
    _, holdout = lake.recent_holdout(newest)
    return TrainingSet.of(
        loop,
        lake.training_rows(newest, seed=seed),
        holdout,
        spans=[*replayed, newest],
    )


class _Encoded:
    """Rows as they are encoded, part by part, into arrays of their final length."""

    def __init__(self, loop: Loop, rows: int) -> None:
        self._loop = loop
        self._encoder = Encoder(loop.data.features)
        self.matrix: Matrix = np.empty((rows, len(loop.data.features)), dtype=np.float32)
        self.labels: Labels = np.empty(rows, dtype=np.int64)
        self.times: npt.NDArray[np.int64] = np.empty(rows, dtype=np.int64)
        self.blocks: npt.NDArray[np.float64] = np.empty(rows, dtype=np.float64)

    def fill(self, begin: int, part: pd.DataFrame) -> None:
        """Encode the rows of a part from this row on."""
        data, rows = self._loop.data, slice(begin, begin + len(part))
        columns: dict[str, Any] = {name: part[name].to_numpy() for name in data.feature_names}
        moments = pd.to_datetime(part[data.time], utc=True).dt.tz_localize(None)
        self.matrix[rows] = self._encoder.encode(columns)
        self.labels[rows] = part[data.label.name]
        self.times[rows] = moments.to_numpy(dtype="datetime64[ns]").astype(np.int64)
        self.blocks[rows] = holdout_order(part[data.time], data.holdout_block)


def _encoded(loop: Loop, rows: Rows | pd.DataFrame, what: str) -> _Encoded:
    if not len(rows):
        raise TrainingError(f"{loop.name}: there are no {what} rows")
    needed = [loop.data.time, loop.data.label.name, *loop.data.feature_names]
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise TrainingError(f"{loop.name}: the {what} rows have no column {', '.join(missing)}")
    encoded, begin = _Encoded(loop, len(rows)), 0
    for found in [rows] if isinstance(rows, pd.DataFrame) else rows.parts(needed):
        part = found.reindex(columns=needed)
        _check_numbers(loop, part, what)
        _check_labels(loop, part, what)
        encoded.fill(begin, part)
        begin += len(part)
    return encoded


def _check_labels(loop: Loop, rows: pd.DataFrame, what: str) -> None:
    labels = rows[loop.data.label.name]
    if not labels.isin([0, 1]).all():
        wrong = labels[~labels.isin([0, 1])].iloc[0]
        raise TrainingError(
            f"{loop.name}: the label {loop.data.label.name} of the {what} rows is 0 or 1, "
            f"but got {wrong!r}"
        )


def _check_numbers(loop: Loop, rows: pd.DataFrame, what: str) -> None:
    for feature in loop.data.features:
        if isinstance(feature, CategoryFeature):
            continue
        if not pd.api.types.is_numeric_dtype(rows[feature.name]):
            raise TrainingError(
                f"{loop.name}: the {what} rows' column {feature.name} holds numbers, "
                f"but got {rows[feature.name].dtype}"
            )
