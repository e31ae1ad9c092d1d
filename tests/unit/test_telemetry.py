"""No library reports anything to its makers from a process of Kontinual."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

USE = """
import kontinual
import numpy as np
from mlflow.telemetry.utils import is_telemetry_disabled
from onnxruntime import InferenceSession
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

rows = np.eye(2, dtype=np.float32)
model = to_onnx(LogisticRegression().fit(rows, [0, 1]), rows)
InferenceSession(model.SerializeToString()).run(None, {"X": rows})
print(is_telemetry_disabled())
"""


def use(home: Path, **variables: str) -> tuple[str, list[str]]:
    """Use both libraries as a user would; returns what MLflow says, and the files that came."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {**kept, "HOME": str(home), "TMPDIR": str(home), **variables}
    said = subprocess.check_output([sys.executable, "-c", USE], env=environment, text=True)
    return said.strip(), [path.name for path in home.rglob("*") if path.is_file()]


def test_neither_onnx_runtime_nor_mlflow_reports(tmp_path: Path):
    assert use(tmp_path) == ("True", [])


@pytest.mark.parametrize("name", ["ORT_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY"])
def test_whoever_wants_to_report_can(tmp_path: Path, name: str):
    said, files = use(tmp_path, **{name: "false"}, https_proxy="http://127.0.0.1:9")
    assert (said == "False") == (name == "MLFLOW_DISABLE_TELEMETRY")
    assert ("deviceid" in files) == (name == "ORT_DISABLE_TELEMETRY")
