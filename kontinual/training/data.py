"""The rows of one training, as the matrix that serving will see.

Notation: n training rows, m holdout rows, F features in the loop's order.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.errors import TrainingError
from kontinual.lake import holdout_order
from kontinual.model import Encoder, Matrix
from kontinual.spec import CategoryFeature, Loop

__all__ = ["Labels", "SpanSource", "TrainingSet", "prepare"]

Labels = npt.NDArray[np.int64]


class SpanSource(Protocol):
    """What training asks of the lake."""

    def training_rows(self, newest: int, /, *, seed: int) -> pd.DataFrame:
        """Rows of the newest span and a sample of the older accepted ones, no holdout row."""
        ...

    def recent_holdout(self, newest: int, /) -> tuple[list[int], pd.DataFrame]:
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
        cls, loop: Loop, rows: pd.DataFrame, holdout: pd.DataFrame, *, spans: list[int]
    ) -> "TrainingSet":
        """The training set of two frames with the loop's columns.

        Raises:
            TrainingError: there is no row, a column is missing or ill-typed, or the training
                rows hold only one of the two labels.
        """
        matrix, labels = _encode(loop, rows, "training")
        holdout_matrix, holdout_labels = _encode(loop, holdout, "holdout")
        if labels.min() == labels.max():
            raise TrainingError(
                f"spans {spans}: all {len(labels)} training rows have "
                f"{loop.data.label.name} = {labels[0]}; both labels are needed to learn from"
            )
        moments = rows[loop.data.time]
        times = pd.to_datetime(moments, utc=True).dt.tz_localize(None)
        return cls(
            matrix=matrix,
            labels=labels,
            holdout_matrix=holdout_matrix,
            holdout_labels=holdout_labels,
            spans=spans,
            times=times.to_numpy(dtype="datetime64[ns]").astype(np.int64),
            blocks=holdout_order(moments, loop.data.holdout_block),
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


def _encode(loop: Loop, rows: pd.DataFrame, what: str) -> tuple[Matrix, Labels]:
    if rows.empty:
        raise TrainingError(f"{loop.name}: there are no {what} rows")
    needed = [loop.data.time, loop.data.label.name, *loop.data.feature_names]
    missing = [name for name in needed if name not in rows]
    if missing:
        raise TrainingError(f"{loop.name}: the {what} rows have no column {', '.join(missing)}")
    _check_numbers(loop, rows, what)
    labels = rows[loop.data.label.name]
    if not labels.isin([0, 1]).all():
        wrong = labels[~labels.isin([0, 1])].iloc[0]
        raise TrainingError(
            f"{loop.name}: the label {loop.data.label.name} of the {what} rows is 0 or 1, "
            f"but got {wrong!r}"
        )
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in loop.data.feature_names}
    return Encoder(loop.data.features).encode(columns), labels.to_numpy(dtype=np.int64)


def _check_numbers(loop: Loop, rows: pd.DataFrame, what: str) -> None:
    for feature in loop.data.features:
        if isinstance(feature, CategoryFeature):
            continue
        if not pd.api.types.is_numeric_dtype(rows[feature.name]):
            raise TrainingError(
                f"{loop.name}: the {what} rows' column {feature.name} holds numbers, "
                f"but got {rows[feature.name].dtype}"
            )
