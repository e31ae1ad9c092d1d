"""A small loop with a real model package, and a home with ports of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from kontinual.local.ports import free_ports
from kontinual.local.processes import marked
from kontinual.model import Encoder, ModelPackage, Quality, Reference, Signature
from kontinual.settings import Settings
from kontinual.spec import CategoryFeature, NumberFeature

LOOP = """\
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: delays
data:
  id: key
  time: at
  label: {name: late, delay: 1d}
  history: {table: history.parquet}
  features:
    - {name: distance, type: number, range: [0, 5000]}
    - {name: origin, type: category, vocabulary: [EWR, JFK]}
training:
  trainers: [{algorithm: logistic_regression}]
gates: [{metric: log_loss, "on": new, max_regression: 0.1}]
monitoring:
  alerts: [{kind: quality_decay, threshold: 0.02, action: retrain}]
"""
FEATURES = [
    NumberFeature(name="distance", range=(0, 5000)),
    CategoryFeature(name="origin", vocabulary=["EWR", "JFK"]),
]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model package of a real, small model."""
    rng = np.random.default_rng(1)
    rows = 200
    columns = {
        "distance": rng.uniform(100, 3000, rows).tolist(),
        "origin": rng.choice(["EWR", "JFK"], rows).tolist(),
    }
    matrix = Encoder(FEATURES).encode(columns)
    labels = (matrix[:, 0] > 1500).astype(int)
    model = LogisticRegression().fit(matrix, labels)
    onnx = to_onnx(model, matrix[:1], options={"zipmap": False})
    quality = Quality(
        rows=rows,
        roc_auc=0.9,
        binned_roc_auc=0.89,
        log_loss=0.3,
        brier=0.1,
        base_rate=0.5,
        expected_log_loss=0.3,
    )
    folder = tmp_path_factory.mktemp("package")
    ModelPackage.write(
        folder,
        onnx.SerializeToString(),
        loop="delays",
        signature=Signature(id="key", time="at", features=FEATURES, label="late"),
        reference=Reference.of(FEATURES, matrix, model.predict_proba(matrix)[:, 1], quality),
        algorithm="logistic_regression",
        parameters={},
        spans=[1],
        code_version="test",
        seed=1,
        created_at=datetime(2013, 3, 1, tzinfo=UTC),
    )
    return folder


@pytest.fixture
def loop_path(tmp_path: Path) -> Path:
    path = tmp_path / "loop.yaml"
    path.write_text(LOOP, encoding="utf-8")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings with free ports; fails when a test leaves a process behind."""
    urls = [f"http://127.0.0.1:{port}" for port in free_ports(6)]
    names = [
        *("prometheus", "alertmanager", "collector", "trigger"),
        *("gateway_url", "gateway_admin"),
    ]
    home = tmp_path / "home"
    yield Settings(home=home, **dict(zip(names, urls, strict=True)))
    left = leftovers(home / "stack")
    for process in left:
        process.kill()
    assert not left


def leftovers(folder: Path) -> list[psutil.Process]:
    """Every process of the stack in a folder that is still there."""
    return marked(folder.resolve())
