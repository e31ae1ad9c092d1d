"""A small loop, and rows whose truth is known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from kontinual.spec import Loop
from kontinual.training import TrainingSet

_FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
MakeLoop = Callable[..., Loop]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small fits are faster on one core, above all where other tests run beside them."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def make_loop() -> MakeLoop:
    """The flights loop on four features, with trainers of choice."""

    def make(*trainers: dict[str, Any], **tuning: Any) -> Loop:
        tree = YAML(typ="safe").load(_FLIGHTS)
        kept = {"hour", "temp", "distance", "origin"}
        tree["data"]["features"] = [f for f in tree["data"]["features"] if f["name"] in kept]
        tree["data"]["slices"] = ["origin"]
        tree["validation"] = {}
        tree["training"]["trainers"] = list(trainers) or [{"algorithm": "logistic_regression"}]
        tree["training"]["tuning"] |= tuning
        return Loop.model_validate(tree)

    return make


@pytest.fixture
def loop(make_loop: MakeLoop) -> Loop:
    return make_loop()


def flights(rows: int, *, seed: int) -> pd.DataFrame:
    """Flights that are late by hour, cold and airport; nulls and unseen airports among them."""
    rng = np.random.default_rng(seed)
    hour, temp = rng.integers(0, 24, rows), rng.normal(55, 20, rows)
    origin = rng.choice(["EWR", "JFK", "LGA", "XXX"], rows, p=[0.4, 0.3, 0.25, 0.05])
    odds = 0.15 * (hour - 14) - 0.03 * (temp - 55) + np.where(origin == "EWR", 0.8, -0.4)
    return pd.DataFrame(
        {
            "flight_id": [f"{seed}-{i}" for i in range(rows)],
            "departure": pd.date_range("2026-01-01", periods=rows, freq="min", tz="UTC"),
            "hour": hour,
            "distance": rng.choice([200.5, 733.1, 1400.25, 2475.3], rows),
            "temp": np.where(rng.random(rows) < 0.1, np.nan, temp),
            "origin": np.where(rng.random(rows) < 0.02, None, origin),
            "late": (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )


@pytest.fixture
def make_flights() -> Callable[..., pd.DataFrame]:
    return flights


@pytest.fixture
def data(loop: Loop) -> TrainingSet:
    return TrainingSet.of(loop, flights(2000, seed=1), flights(500, seed=2), spans=[1, 2])
