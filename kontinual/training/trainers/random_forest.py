"""Averaged deep trees."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from kontinual.model import Matrix
from kontinual.spec import Feature
from kontinual.training.trainers.base import BaseTrainer, Estimator, Parameters

__all__ = ["RandomForestTrainer"]

_OURS = {"random_state", "verbose", "warm_start", "n_jobs", "monotonic_cst", "oob_score"}


class RandomForestTrainer(BaseTrainer):
    """scikit-learn's RandomForestClassifier on median-imputed numbers and category codes.

    The leaves are large by default: probabilities are what is judged, and the
    model is what every predictor loads.
    """

    known: ClassVar[frozenset[str] | None] = (
        frozenset(RandomForestClassifier().get_params()) - _OURS
    )
    defaults: ClassVar[Parameters] = {
        "n_estimators": 100,
        "max_depth": 14,
        "min_samples_leaf": 20,
        "max_features": "sqrt",
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
        model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            RandomForestClassifier(**parameters, random_state=seed, n_jobs=1),
        )
        model.fit(matrix, labels)
        return model  # type: ignore[no-any-return]
