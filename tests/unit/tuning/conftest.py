"""A small search, its rows, and a tracker that only remembers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.training import TrainingSet

_FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
MakeLoop = Callable[..., Loop]
MakeTrial = Callable[..., TrialRecord]


class MemoryTracker:
    """Keeps trials as tracking does, newest first."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, TrialRecord]] = []

    def log_trial(self, run_id: str, trial: TrialRecord) -> None:
        self.kept.insert(0, (run_id, trial))

    def trials(self, limit: int = 200) -> list[TrialRecord]:
        return [trial for _, trial in self.kept[:limit]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


@pytest.fixture
def make_loop() -> MakeLoop:
    """The flights loop on three features, with trainers and a budget of choice."""

    def make(*trainers: dict[str, Any], metric: str = "log_loss", **tuning: Any) -> Loop:
        tree = YAML(typ="safe").load(_FLIGHTS)
        kept = {"hour", "temp", "origin"}
        tree["data"]["features"] = [f for f in tree["data"]["features"] if f["name"] in kept]
        tree["data"]["slices"] = ["origin"]
        tree["validation"] = {}
        tree["training"]["metric"] = metric
        if trainers:
            tree["training"]["trainers"] = list(trainers)
        tree["training"]["tuning"] |= tuning
        return Loop.model_validate(tree)

    return make


@pytest.fixture
def data() -> TrainingSet:
    """Rows the truth of which is plain; the holdout is empty, so that touching it fails."""
    rng = np.random.default_rng(0)
    rows = 1200
    matrix = np.column_stack(
        [rng.integers(0, 24, rows), rng.normal(55, 20, rows), rng.integers(0, 3, rows)]
    ).astype(np.float32)
    odds = 0.2 * (matrix[:, 0] - 12) - 0.03 * (matrix[:, 1] - 55)
    return TrainingSet(
        matrix=matrix,
        labels=(rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        holdout_matrix=np.empty((0, 3), dtype=np.float32),
        holdout_labels=np.empty(0, dtype=np.int64),
        spans=[1],
        times=rng.permutation(rows).astype(np.int64),
    )


@pytest.fixture
def make_trial() -> MakeTrial:
    """A trial's record, with what a test does not care for filled in."""

    def make(number: int, loss: float | None, **fields: Any) -> TrialRecord:
        default: dict[str, Any] = {
            "number": number,
            "algorithm": "logistic_regression",
            "parameters": {"C": 0.5},
            "metrics": {}
            if loss is None
            else {"roc_auc": 1 - loss, "log_loss": loss, "brier": loss / 3},
            "seconds": 1.5,
            "cpu_seconds": 1.25,
            "peak_memory_bytes": 150_000_000,
            "seed": 1,
            "state": "failed" if loss is None else "complete",
            "error": "it broke" if loss is None else None,
        }
        return TrialRecord(**(default | fields))

    return make
