from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from kontinual.publish import CompiledPipeline, Publisher
from kontinual.settings import Settings
from kontinual.spec import parse_loop
from tests.kfp.server import KfpServer, kfp_server

PIPELINE = Path(__file__).parents[3] / "pipelines" / "continual_learning.yaml"
LOOP = """\
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: toy
data:
  id: id
  time: at
  label: {name: y, delay: 1d}
  history: {table: history.parquet}
  features: [{name: x, type: number, range: [0, 1]}]
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0.0}]
monitoring: {alerts: [{kind: quality_decay, threshold: 0.02}]}
"""
Publish = Callable[..., Publisher]


@cache
def compiled(path: Path) -> CompiledPipeline:
    return CompiledPipeline.read(path, registry=None, tag=None)


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as running:
        yield running


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with the loop's history beside the place of its declaration."""
    (tmp_path / "lake" / "toy").mkdir(parents=True)
    (tmp_path / "lake" / "toy" / "history.parquet").touch()
    return tmp_path / "lake"


@pytest.fixture
def publisher(server: KfpServer, lake: Path) -> Publish:
    def make(schedule: str = "", *, pipeline: Path = PIPELINE, **settings: str) -> Publisher:
        text = LOOP + (f"schedule: {schedule}\n" if schedule else "")
        known = Settings(**{"lake": lake.as_uri(), "kfp": server.url, **settings})
        return Publisher(parse_loop(text), text, compiled(pipeline), known)

    return make
