"""A registry of its own for each test, without paying MLflow's set-up each time."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kontinual.model import ModelPackage, Reference, Signature, quality
from kontinual.spec import NumberFeature
from kontinual.tracking import Tracker, TrialRecord

_FEATURE = NumberFeature(name="temp", range=(-20, 115))


class Clock:
    """A day later at every reading."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(days=1)
        return self.now


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's database with its tables and nothing in them."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    assert Tracker(f"sqlite:///{path}", "flights").champion() is None
    return path


@pytest.fixture
def uri(empty_registry: Path, tmp_path: Path) -> str:
    copy = tmp_path / "home" / "mlflow.db"
    copy.parent.mkdir()
    source, target = sqlite3.connect(empty_registry), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    return f"sqlite:///{copy}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(uri: str, clock: Clock) -> Tracker:
    return Tracker(uri, "flights", clock=clock)


@pytest.fixture
def make_package(tmp_path: Path) -> Callable[[str], Path]:
    """A sound package whose model is any text."""

    def make(model: str) -> Path:
        scores = np.array([0.2, 0.8, 0.6])
        born = quality([0, 1, 1], scores)
        folder = tmp_path / f"package-{model}"
        ModelPackage.write(
            folder,
            model.encode(),
            loop="flights",
            signature=Signature(id="id", time="at", features=[_FEATURE], label="late"),
            reference=Reference.of([_FEATURE], np.ones((3, 1), dtype=np.float32), scores, born),
            algorithm="logistic_regression",
            parameters={"C": 1.0},
            spans=[1],
            code_version="0.1.0",
            seed=1,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return folder

    return make


@pytest.fixture
def make_trial() -> Callable[..., TrialRecord]:
    def make(number: int, **fields: Any) -> TrialRecord:
        default: dict[str, Any] = {
            "number": number,
            "algorithm": "hist_gradient_boosting",
            "parameters": {"learning_rate": 0.1, "max_iter": 90, "loss": "x"},
            "metrics": {"roc_auc": 0.7, "log_loss": 0.5, "brier": 0.2},
            "seconds": 1.5,
            "cpu_seconds": 1.25,
            "peak_memory_bytes": 150_000_000,
            "seed": 1,
            "state": "complete",
        }
        return TrialRecord(**(default | fields))

    return make
