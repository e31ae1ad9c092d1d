from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from kontinual.lake import Lake, Verdict
from kontinual.model import ModelPackage, Reference, Signature, quality
from kontinual.spec import Loop

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
GATES = [
    {"metric": "log_loss", "on": "new", "min_improvement": 0.0, "max_regression": 0.01},
    {"metric": "roc_auc", "on": "new", "max_regression": 0.02},
    {"metric": "log_loss", "on": "old", "max_regression": 0.03},
    {"metric": "log_loss", "on": "slices", "max_regression": 0.1},
]


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.fixture(scope="session")
def loop() -> Loop:
    """Yes or no by the sign of two numbers, watched by shop."""
    return Loop.model_validate(
        {
            "apiVersion": "kontinual.dev/v1alpha1",
            "kind": "Loop",
            "name": "signs",
            "data": {
                "id": "id",
                "time": "at",
                "label": {"name": "yes", "delay": "1d"},
                "features": [
                    {"name": "a", "type": "number", "range": [-5, 5]},
                    {"name": "b", "type": "number", "range": [-5, 5]},
                    {"name": "shop", "type": "category", "vocabulary": ["big", "small"]},
                ],
                "slices": ["shop"],
                "holdout": 0.4,
                "holdout_block": "1s",
                "history": {"table": "rows.parquet"},
            },
            "training": {"trainers": [{"algorithm": "logistic_regression"}]},
            "gates": GATES,
            "monitoring": {"alerts": [{"kind": "quality_decay", "threshold": 0.05}]},
        }
    )


@pytest.fixture(scope="session")
def rows():
    """Rows whose label follows `weights` of a and b; a tenth of them from the small shop."""

    def make(n, *, weights=(2.0, 0.0), small=None, seed=0):
        rng = np.random.default_rng(seed)
        a, b = rng.standard_normal((2, n))
        shop = np.where(rng.random(n) < 0.1, "small", "big")
        chosen = np.where((shop == "small")[:, None], small or weights, weights)
        truth = sigmoid(chosen[:, 0] * a + chosen[:, 1] * b)
        return pd.DataFrame(
            {
                "id": [f"{seed}-{i}" for i in range(n)],
                "at": pd.Timestamp(NOON) + pd.to_timedelta(np.arange(n), unit="s"),
                "a": a,
                "b": b,
                "shop": shop,
                "yes": (rng.random(n) < truth).astype(int),
            }
        )

    return make


@pytest.fixture
def lake(tmp_path, loop) -> Lake:
    return Lake(str(tmp_path / "lake"), loop, clock=lambda: NOON)


@pytest.fixture
def accept(lake):
    def judge(number):
        lake.judge(Verdict(span=number, accepted=True, at=NOON))

    return judge


@pytest.fixture
def model(tmp_path, loop):
    """Writes the package of a logistic model with known weights: `model(a, b)`."""

    def make(*weights: float, bias: float = 0.0) -> Path:
        folder = tmp_path / f"model{'_'.join(map(str, (*weights, bias)))}"
        if folder.exists():
            return folder
        scores = np.linspace(0.01, 0.99, 50)
        ModelPackage.write(
            folder,
            _logistic([*weights, 0.0], bias),
            loop=loop.name,
            signature=Signature(
                id="id", time="at", features=loop.data.features, label=loop.data.label.name
            ),
            reference=Reference.of(
                loop.data.features,
                np.zeros((50, 3), dtype=np.float32),
                scores,
                quality(np.arange(50) % 2, scores),
            ),
            algorithm="logistic_regression",
            parameters={},
            spans=[1],
            code_version="test",
            seed=0,
            created_at=NOON,
        )
        return folder

    return make


def _logistic(weights: list[float], bias: float) -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["dot"]),
            helper.make_node("Add", ["dot", "bias"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ],
        "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [3], weights),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()
