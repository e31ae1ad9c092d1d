"""A real Envoy and a real Prometheus, before and behind small real predictors."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "rollout"))
sys.path.insert(0, str(Path(__file__).parent))

from real_servers import RunningEnvoy, RunningPrometheus
from small_predictors import ProcessPredictors


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[RunningEnvoy]:
    running = RunningEnvoy(tmp_path / "envoy")
    yield running
    running.close()


@pytest.fixture
def predictors() -> Iterator[ProcessPredictors]:
    started = ProcessPredictors()
    yield started
    started.close()


@pytest.fixture
def prometheus(tmp_path: Path, envoy: RunningEnvoy) -> Iterator[RunningPrometheus]:
    running = RunningPrometheus(tmp_path / "prometheus", envoy_admin=envoy.admin)
    yield running
    running.close()
