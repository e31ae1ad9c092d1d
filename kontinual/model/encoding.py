"""From named values to the matrix a model sees: the same code in training and in serving.

Notation: n rows, F features in the loop's order.

A number is its float32; a category is its index in the vocabulary, an unseen
category the vocabulary's length; null is NaN. Training on exactly this float32
matrix is what keeps a served prediction equal to the trained one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kontinual.spec import CategoryFeature, Feature

__all__ = ["Encoder", "Matrix"]

Matrix = npt.NDArray[np.float32]


class Encoder:
    """Encodes columns of raw values.

    It neither checks nor repairs: what a value may be is checked before, by the
    predictor for requests and by validation for spans.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = tuple(features)
        self._codes: dict[str, dict[str, float]] = {
            f.name: {value: float(i) for i, value in enumerate(f.vocabulary)}
            for f in self.features
            if isinstance(f, CategoryFeature)
        }

    def encode(self, columns: Mapping[str, Sequence[Any]]) -> Matrix:
        """The matrix of these columns, float32 [n, F].

        Args:
            columns: n raw values for each feature's name (lists, arrays, or a
                DataFrame); null is None or NaN. Other columns are ignored.

        Raises:
            KeyError: a feature has no column.
            ValueError: a number's column holds text.
        """
        encoded = [self.encode_column(f, columns[f.name]) for f in self.features]
        return np.column_stack(encoded).astype(np.float32, copy=False)

    def encode_column(self, feature: Feature, values: Sequence[Any]) -> Matrix:
        """One feature's n values as float32 [n]."""
        if not isinstance(feature, CategoryFeature):
            return np.asarray(values, dtype=np.float32)
        codes, unseen = self._codes[feature.name], float(len(feature.vocabulary))
        return np.array(
            [np.nan if v is None or v != v else codes.get(v, unseen) for v in values],
            dtype=np.float32,
        )
