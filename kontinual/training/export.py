"""From a fitted scikit-learn model to ONNX, and the proof that nothing changed on the way.

Notation: n rows, F features.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kontinual.errors import TrainingError
from kontinual.model import Matrix, OnnxModel

__all__ = ["OPSET", "TOLERANCE", "check_fidelity", "onnx_scores", "to_onnx"]

TOLERANCE = 1e-4
# Fixed, so that a newer converter does not write what an older predictor can not read.
OPSET = {"": 18, "ai.onnx.ml": 3}


def to_onnx(estimator: Any, features: int) -> bytes:
    """A classifier of labels 0 and 1 as ONNX: float32 [n, F] in; label, probabilities out.

    Raises:
        TrainingError: skl2onnx can not convert it.
    """
    # Heavy, and needed once: a trial of the search fits but never exports.
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType

    try:
        with warnings.catch_warnings():
            # skl2onnx marks the leaves of histogram trees by False where protobuf wants 0.
            warnings.filterwarnings(
                "ignore", ".*Expected an int, got a boolean", DeprecationWarning
            )
            model = convert(
                estimator,
                initial_types=[("features", FloatTensorType([None, features]))],
                options={id(estimator): {"zipmap": False}},
                target_opset=OPSET,
            )
    except Exception as exc:  # skl2onnx raises whatever its converters do
        raise TrainingError(f"{type(estimator).__name__} has no ONNX form: {_brief(exc)}") from exc
    return bytes(model.SerializeToString())


def onnx_scores(model: bytes, matrix: Matrix) -> npt.NDArray[np.float32]:
    """What a predictor would answer, [n], through the very class that serving uses.

    Raises:
        TrainingError: ONNX Runtime refuses the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        try:
            return OnnxModel(path, threads=1).predict(matrix)
        except Exception as exc:  # ONNX Runtime's errors share no base class
            raise TrainingError(f"ONNX Runtime refuses the exported model: {_brief(exc)}") from exc


def check_fidelity(
    trained: npt.NDArray[np.floating], served: npt.NDArray[np.floating], *, what: str
) -> None:
    """Refuse an export whose answers differ from the trained model's.

    Args:
        trained: the estimator's probabilities of label 1, [n].
        served: the exported model's, [n].
        what: named in the message.

    Raises:
        TrainingError: any of the n rows differs by more than `TOLERANCE`, or is NaN.
    """
    if trained.shape != served.shape:
        raise TrainingError(
            f"{what}: the exported model answers {served.shape} for {trained.shape} rows"
        )
    difference = np.abs(trained.astype(np.float64) - served.astype(np.float64))
    wrong = ~(difference <= TOLERANCE)
    if wrong.any():
        raise TrainingError(
            f"{what}: the exported model answers {wrong.sum()} of {len(wrong)} holdout rows "
            f"otherwise than the trained one, by {np.max(difference):.3g} at most, "
            f"and {TOLERANCE:g} is allowed"
        )


def _brief(exc: Exception) -> str:
    """An error's first line; converters append the whole model to theirs."""
    lines = str(exc.__cause__ or exc).strip().splitlines() or [""]
    return f"{type(exc).__name__}: {lines[0][:300]}"
