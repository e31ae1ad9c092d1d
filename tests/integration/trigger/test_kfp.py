"""The service as it runs on a cluster: its runs are Kubeflow Pipelines', here an imitation."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from kontinual.cluster.kfp import Connection, Runs, Version
from kontinual.lake import Lake
from kontinual.publish import CompiledPipeline, Publisher
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord, parse_loop
from kontinual.steps.admit import RunRefused, admit
from tests.kfp.server import KfpServer, kfp_server

ROOT = Path(__file__).parents[3]
LOOP = ROOT / "examples" / "flights" / "loop.yaml"
TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def kubeflow() -> Iterator[KfpServer]:
    with kfp_server(multi_user=True, tokens={"fresh": {"team"}}) as server:
        yield server


@pytest.fixture
def settings(
    tmp_path: Path, kubeflow: KfpServer, prometheus: Any, port: int, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for name, value in {
        "HOME": tmp_path / "home",
        "LAKE": tmp_path / "lake",
        "TOKEN": "secret",
        "PROMETHEUS": prometheus.url,
        "TRIGGER": f"http://127.0.0.1:{port}",
        "LAUNCHER": "kfp",
        "KFP": kubeflow.url,
        "KFP_NAMESPACE": "team",
        "KFP_TOKEN": "fresh",
    }.items():
        monkeypatch.setenv(f"KONTINUAL_{name}", str(value))
    return Settings()


@pytest.fixture
def published(settings: Settings, tmp_path: Path) -> str:
    """A published loop, with a schedule; returns the address of its declaration."""
    text = LOOP.read_text(encoding="utf-8").replace("cooldown: 35d", "cooldown: 0s")
    text += "schedule: {every: 1d}\n"
    (tmp_path / "lake" / "flights").mkdir(parents=True)
    (tmp_path / "lake" / "flights" / "history.parquet").touch()
    compiled = CompiledPipeline.read(settings.pipeline_file, registry=None, tag=None)
    declaration, *_ = Publisher(parse_loop(text), text, compiled, settings).publish()
    return declaration.name


@pytest.fixture
def service(
    published: str, settings: Settings, tmp_path: Path, port: int, until: Callable[..., Any]
) -> Iterator[httpx.Client]:
    """The real service on the published declaration; a client of it."""
    command = [sys.executable, "-m", "kontinual.trigger", "--loop", published, "--port", str(port)]
    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen(command, env=dict(os.environ), stderr=log, cwd=tmp_path)
    client = httpx.Client(base_url=settings.trigger, headers=TOKEN, timeout=30)

    def healthy() -> bool:
        assert process.poll() is None, (tmp_path / "service.log").read_text()
        try:
            return client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        until(healthy, 120)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=60)


def finish(settings: Settings, loop: Loop, kubeflow: KfpServer, run: dict[str, Any]) -> None:
    """Do what the steps of a run would do: leave a record in the lake, and succeed."""
    name = run["runtime_config"]["parameters"]["run_id"]
    now = datetime.now(UTC)
    record = RunRecord(
        id=name,
        loop=loop.name,
        trigger=run["runtime_config"]["parameters"]["trigger"],
        outcome=Outcome.PROMOTED,
        reason="better",
        started_at=now,
        ended_at=now,
    )
    Lake(settings.lake_url, loop).journal(name).finish(record)
    kubeflow.finish(run["run_id"], "SUCCEEDED")


def by_the_calendar(settings: Settings, kubeflow: KfpServer) -> tuple[str, dict[str, str]]:
    """Start a run as the recurring run does when its time has come: its job, its parameters."""
    (recurring,) = kubeflow.kept["recurringruns"]
    reference = recurring["pipeline_version_reference"]
    version = Version(reference["pipeline_id"], reference["pipeline_version_id"])
    parameters = dict(recurring["runtime_config"]["parameters"])
    runs = Runs(Connection.of(settings), "flights")
    return runs.start("flights-schedule-1", version=version, parameters=parameters).id, parameters


def test_alerts_and_the_calendar_become_runs_that_are_followed_to_their_end(
    service: httpx.Client,
    kubeflow: KfpServer,
    prometheus: Any,
    settings: Settings,
    published: str,
    loop: Loop,
    post: Callable[..., dict[str, Any]],
    until: Callable[..., Any],
) -> None:
    def told(name: str) -> dict[str, Any]:
        return dict(service.get(f"/api/v1/runs/{name}").json())

    prometheus.is_ripe(loop)
    alert = post(loop, at=datetime.now(UTC))
    for _ in range(2):  # Alertmanager's peers deliver twice
        assert service.post("/api/v1/alerts", json=alert).status_code == 202
    (run,) = until(kubeflow.runs)
    assert run["runtime_config"]["parameters"]["loop"] == published
    name = run["display_name"]
    process = until(lambda: told(name)["process"])
    assert process["url"].endswith(f"/#/runs/details/{run['run_id']}")
    finish(settings, loop, kubeflow, run)
    until(lambda: told(name)["state"] == "ended")
    assert told(name)["outcome"] == "promoted"

    job, given = by_the_calendar(settings, kubeflow)
    name = admit(given["loop"], given["run_id"], given["trigger"], job)
    assert (told(name)["state"], told(name)["process"]["kfp_run"]) == ("running", job)
    kubeflow.finish(job, "CANCELED")
    until(lambda: told(name)["state"] == "ended")
    assert told(name)["outcome"] == "failed"
    assert told(name)["reason"].endswith("ended as CANCELED and left no record")
    assert len(kubeflow.runs()) == 2, "the trigger started none beside the calendar's"

    assert service.post("/api/v1/pause", json={"reason": "a holiday"}).is_success
    job, given = by_the_calendar(settings, kubeflow)
    with pytest.raises(RunRefused, match=r"not accepted, by rule paused: .*a holiday"):
        admit(given["loop"], given["run_id"], given["trigger"], job)
