"""A small loop with every type of feature, and a model package of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kontinual.model import Encoder, ModelPackage, Quality, Reference, Signature
from kontinual.spec import CategoryFeature, IntegerFeature, NumberFeature
from kontinual.training.trainers import trainer

FEATURES = [
    IntegerFeature(name="hour", range=(0, 23)),
    NumberFeature(name="temp", range=(-20, 115), nullable=True),
    NumberFeature(name="distance", range=(0, 5000)),
    CategoryFeature(name="origin", vocabulary=["EWR", "JFK", "LGA"]),
    CategoryFeature(name="carrier", vocabulary=["AA", "UA"], nullable=True),
]


def write_package(folder: Path, *, rows: int = 400, seed: int = 0) -> ModelPackage:
    """A package of a real boosted model, converted to ONNX."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        "hour": rng.integers(0, 24, rows).tolist(),
        "temp": [None if v > 90 else v for v in rng.uniform(0, 100, rows).tolist()],
        "distance": rng.uniform(100, 3000, rows).tolist(),
        "origin": rng.choice(["EWR", "JFK", "LGA"], rows).tolist(),
        "carrier": rng.choice(["AA", "UA"], rows).tolist(),
    }
    matrix = Encoder(FEATURES).encode(columns)
    labels = (matrix[:, 0] + rng.normal(0, 4, rows) > 12).astype(int)
    boosting = trainer("hist_gradient_boosting")
    chosen = {**boosting.defaults, "max_iter": 20}
    model = boosting.fit(matrix, labels, features=FEATURES, parameters=chosen, seed=seed)
    scores = model.predict_proba(matrix)[:, 1]
    quality = Quality(
        rows=rows,
        roc_auc=0.8,
        binned_roc_auc=0.79,
        log_loss=0.5,
        brier=0.2,
        base_rate=0.5,
        expected_log_loss=0.45,
    )
    return ModelPackage.write(
        folder,
        boosting.export(model, FEATURES),
        loop="delays",
        signature=Signature(id="key", time="at", features=FEATURES, label="late"),
        reference=Reference.of(FEATURES, matrix, scores, quality),
        algorithm="hist_gradient_boosting",
        parameters={},
        spans=[1],
        code_version="test",
        seed=seed,
        created_at=datetime(2013, 3, 1, tzinfo=UTC),
    )


@pytest.fixture(scope="session")
def package_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_package(folder)
    return folder


@pytest.fixture(scope="session")
def package(package_folder: Path) -> ModelPackage:
    return ModelPackage.read(package_folder)


@pytest.fixture
def row() -> dict[str, Any]:
    """A row with nothing odd about it."""
    return {
        "key": "a-1",
        "at": "2013-05-01T10:00:00Z",
        "hour": 10,
        "temp": 61.5,
        "distance": 1400.0,
        "origin": "JFK",
        "carrier": "UA",
    }
