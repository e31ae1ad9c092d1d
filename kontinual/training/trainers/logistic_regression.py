"""A linear model, for what is simple and must stay so."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kontinual.model import Matrix
from kontinual.spec import CategoryFeature, Feature
from kontinual.training.trainers.base import BaseTrainer, Estimator, Parameters

__all__ = ["LogisticRegressionTrainer"]

_NULL_CODE = -1.0


class LogisticRegressionTrainer(BaseTrainer):
    """scikit-learn's LogisticRegression on scaled numbers and one-hot categories.

    A null number becomes the median; a null or unseen category has no column.
    """

    known: ClassVar[frozenset[str] | None] = frozenset(
        {"C", "class_weight", "fit_intercept", "l1_ratio", "max_iter", "tol"}
    )
    defaults: ClassVar[Parameters] = {"C": 1.0, "max_iter": 300}

    def fit(
        self,
        matrix: Matrix,
        labels: npt.NDArray[np.int64],
        *,
        features: Sequence[Feature],
        parameters: Parameters,
        seed: int,
    ) -> Estimator:
        model = make_pipeline(
            _columns(features), LogisticRegression(**parameters, random_state=seed)
        )
        model.fit(matrix, labels)
        return model  # type: ignore[no-any-return]


def _columns(features: Sequence[Feature]) -> ColumnTransformer:
    categories = {i: f for i, f in enumerate(features) if isinstance(f, CategoryFeature)}
    numbers = [i for i in range(len(features)) if i not in categories]
    codes = [np.arange(len(f.vocabulary), dtype=np.float32) for f in categories.values()]
    numeric = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    one_hot = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=_NULL_CODE),
        OneHotEncoder(categories=codes, handle_unknown="ignore", dtype=np.float32),
    )
    parts = [("numbers", numeric, numbers), ("categories", one_hot, list(categories))]
    return ColumnTransformer([part for part in parts if part[2]])
