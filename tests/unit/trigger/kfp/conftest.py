"""Kubeflow Pipelines' API as tests/kfp imitates it, and launchers that speak to it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kontinual.cluster.kfp import Connection, Pipelines
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger.contracts import Run, Wish
from kontinual.trigger.kfp_launcher import KfpLauncher
from tests.kfp.server import KfpServer, kfp_server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(id="toy-1", trigger=7, accepted_at=NOW, wish=Wish(seed=3))


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def published(server: KfpServer, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("a: pipeline")
    pipelines = Pipelines(Connection(server.url))
    pipeline = pipelines.create("continual-learning", "")
    for version in ("older", "newer"):
        pipelines.upload(pipeline, version, file)


@pytest.fixture
def make(server: KfpServer, loop: Loop, clock: Clock) -> Callable[[], KfpLauncher]:
    records: dict[str, RunRecord] = {}

    def create(**more: Any) -> KfpLauncher:
        return KfpLauncher(
            Connection(server.url, ui="https://kubeflow.example/_/pipeline"),
            loop=loop,
            loop_url="s3://lake/toy/loop.yaml",
            pipeline="continual-learning",
            records=records.get,
            clock=clock,
            **more,
        )

    create.records = records  # type: ignore[attr-defined]
    return create


def launched(launcher: KfpLauncher, run: Run = RUN) -> Run:
    return run.model_copy(update={"process": launcher.launch(run), "launched_at": NOW})


def a_record(outcome: Outcome = Outcome.PROMOTED) -> RunRecord:
    return RunRecord(
        id="toy-1",
        loop="toy",
        trigger="7",
        outcome=outcome,
        reason="better",
        started_at=NOW,
        ended_at=NOW,
    )
