"""What every trainer is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from kontinual.model import Matrix
from kontinual.spec import Feature

__all__ = ["BaseTrainer", "Estimator", "Parameters"]

Parameters = Mapping[str, Any]


class Estimator(Protocol):
    """A fitted model."""

    def predict_proba(self, matrix: Matrix, /) -> npt.NDArray[np.floating]:
        """Probabilities of labels 0 and 1, [n, 2]."""
        ...


class BaseTrainer(ABC):
    """One algorithm. A class of your own derives from this and is named `package.module:Class`.

    It is made without arguments, in every process anew. `fit` has to be
    deterministic in its arguments: the same rows, parameters and seed give a
    model with the same predictions.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    """Parameters used where the declaration says nothing; the search tries them first."""

    known: ClassVar[frozenset[str] | None] = None
    """Names of the parameters that exist; None leaves the check to `fit`."""

    @abstractmethod
    def fit(
        self,
        matrix: Matrix,
        labels: npt.NDArray[np.int64],
        *,
        features: Sequence[Feature],
        parameters: Parameters,
        seed: int,
    ) -> Estimator:
        """Learn from encoded rows (see `kontinual.model.Encoder`).

        Args:
            matrix: float32 [n, F]; categories as codes, null as NaN.
            labels: 0 or 1, [n].
            features: the F features, in order.
            parameters: all of them, defaults included.
            seed: of everything random.
        """

    def export(self, estimator: Estimator, features: Sequence[Feature]) -> bytes:
        """The fitted model as ONNX: float32 [n, F] in, probability of label 1 as last output.

        The default converts any scikit-learn estimator or pipeline that skl2onnx knows.
        """
        # Only the environment that trains has skl2onnx.
        from kontinual.training.export import to_onnx

        return to_onnx(estimator, len(features))
