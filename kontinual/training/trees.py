"""Histogram trees for their converter, exactly."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["exportable"]


def exportable(model: Any) -> Any:
    """A fitted HistGradientBoostingClassifier with float32 thresholds, for skl2onnx.

    scikit-learn's thresholds are doubles between two float32 values; an ONNX
    tree holds float32, and rounding one up can move a served row into the
    other branch. For a float32 x, `x <= t` holds exactly if `x <= t'` for the
    greatest float32 `t' <= t`: rounded down, the export answers as the model
    does, which itself stays as it is.
    """
    twin = copy.copy(model)
    twin._predictors = [[_rounded(tree.nodes) for tree in trees] for trees in model._predictors]
    return twin


def _rounded(nodes: npt.NDArray[Any]) -> SimpleNamespace:
    nodes = nodes.copy()
    nodes["num_threshold"] = _float32_below(nodes["num_threshold"])
    return SimpleNamespace(nodes=nodes)


def _float32_below(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)
