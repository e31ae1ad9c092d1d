"""Gradient boosted trees on histograms."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from kontinual.model import Matrix
from kontinual.spec import Feature
from kontinual.training.trainers.base import BaseTrainer, Estimator, Parameters
from kontinual.training.trees import exportable

__all__ = ["HistGradientBoostingTrainer"]

# Set here, or without meaning for one fit of two classes.
_OURS = {"random_state", "verbose", "warm_start", "categorical_features"}


class HistGradientBoostingTrainer(BaseTrainer):
    """scikit-learn's HistGradientBoostingClassifier; null is a value of its own.

    Categories are their codes, in the vocabulary's order: ONNX as skl2onnx writes
    it has no set splits, and on data whose categories shift, the native ones
    generalized worse.
    """

    known: ClassVar[frozenset[str] | None] = (
        frozenset(HistGradientBoostingClassifier().get_params()) - _OURS
    )
    defaults: ClassVar[Parameters] = {
        "learning_rate": 0.1,
        "max_iter": 120,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
        "early_stopping": False,
    }

    def fit(
        self,
        matrix: Matrix,
        labels: npt.NDArray[np.int64],
        *,
        features: Sequence[Feature],  # noqa: ARG002  codes and numbers are split alike
        parameters: Parameters,
        seed: int,
    ) -> Estimator:
        model = HistGradientBoostingClassifier(
            **parameters, random_state=seed, categorical_features=None
        )
        model.fit(_without_empty_columns(matrix), labels)
        return model  # type: ignore[no-any-return]

    def export(self, estimator: Estimator, features: Sequence[Feature]) -> bytes:
        return super().export(exportable(estimator), features)


def _without_empty_columns(matrix: Matrix) -> Matrix:
    """Columns that are null throughout as zeros: scikit-learn 1.9 can not bin them.

    No split can be made on either, so what such a column holds later has no effect.
    """
    empty = np.isnan(matrix).all(axis=0)
    return np.where(empty, np.float32(0), matrix) if empty.any() else matrix
