from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kontinual.collector import Prediction, Store
from kontinual.spec import PREDICTION_EVENT, Loop, parse_loop

DECLARATION = """
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: parcels
data:
  id: parcel
  time: sent
  label: {name: lost, delay: 2d}
  history: {table: history.parquet}
  slices: [depot]
  features:
    - {name: weight, type: number, range: [0, 100], nullable: true}
    - {name: items, type: integer, range: [1, 9]}
    - {name: depot, type: category, vocabulary: [north, south]}
    - {name: json, type: category, vocabulary: [a, b]}
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0.0}]
monitoring: {alerts: [{kind: quality_decay, threshold: 0.02}]}
"""


@pytest.fixture(scope="session")
def loop() -> Loop:
    return parse_loop(DECLARATION)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = datetime(2024, 5, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.sqlite", loop="parcels")
    yield store
    store.close()


@pytest.fixture
def instance() -> Callable[..., dict[str, Any]]:
    def make(number: int, **changes: Any) -> dict[str, Any]:
        row = {
            "parcel": f"p{number}",
            "sent": "2024-05-01T12:00:00Z",
            "weight": 2.5,
            "items": 3,
            "depot": "north",
            "json": "a",
        }
        return {**row, **changes}

    return make


@pytest.fixture
def event(instance: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """One event of one row; keywords replace the event's attributes."""

    def make(number: int, *, score: float = 0.25, version: str = "1", **changes: Any) -> Any:
        data = {"version": version, "instances": [instance(number)], "scores": [score]}
        return {
            "specversion": "1.0",
            "id": f"request-{number}",
            "source": f"/models/parcels/versions/{version}",
            "type": PREDICTION_EVENT,
            "time": "2024-05-01T12:00:01Z",
            "datacontenttype": "application/json",
            "data": data,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def prediction() -> Callable[..., Prediction]:
    def make(
        number: int, *, score: float = 0.25, version: str = "1", **features: Any
    ) -> Prediction:
        return Prediction(
            id=f"p{number}",
            time=datetime(2024, 5, 1, 12, tzinfo=UTC),
            version=version,
            score=score,
            features={"weight": 2.5, "items": 3, "depot": "north", "json": "a", **features},
        )

    return make
