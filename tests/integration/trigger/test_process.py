"""The service as a process: kills at the worst moments, SIGTERM, and a real Alertmanager."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kontinual.local.tools import find_tool
from kontinual.monitoring import render_alertmanager
from kontinual.spec import Loop
from kontinual.trigger import Ledger

HERE = Path(__file__).parent
LOOP = HERE.parents[2] / "examples" / "flights" / "loop.yaml"
HEADERS = {"Authorization": "Bearer secret"}

# A run: it says that it began, waits for `go`, and leaves its record.
RUN = """
import json, pathlib, sys, time
here, run = pathlib.Path(sys.argv[1]), sys.argv[3]
with (here / "starts").open("a") as f: print(run, file=f)
while not (here / "go").exists(): time.sleep(0.05)
now = "2026-01-01T00:00:00Z"
record = {"id": run, "loop": "flights", "trigger": sys.argv[5], "outcome": "promoted",
          "reason": "better", "started_at": now, "ended_at": now, "version": "2"}
(here / (run + ".json")).write_text(json.dumps(record))
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path, port: int, prometheus, until) -> Iterator[Start]:
    """Starts the service and waits until it serves."""
    services: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {
        "KONTINUAL_HOME": str(tmp_path),
        "KONTINUAL_TOKEN": "secret",
        "KONTINUAL_PROMETHEUS": prometheus.url,
    }

    def healthy() -> bool:
        assert services[-1].poll() is None, (tmp_path / "service.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
        except httpx.TransportError:
            return False

    def begin(die: str = "never") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", RUN, str(tmp_path)]
        script = [sys.executable, str(HERE / "service.py"), str(LOOP), str(port), str(tmp_path)]
        with (tmp_path / "service.log").open("ab") as log:
            service = subprocess.Popen([*script, die, *command], env=environment, stderr=log)
        services.append(service)
        until(healthy)
        return services[-1]

    yield begin
    (tmp_path / "go").touch()
    for service in services:
        service.terminate()
        service.wait(timeout=30)
    pids = [json.loads(p.read_text())["pid"] for p in tmp_path.glob("runs/*/process.json")]
    until(lambda: not any(is_alive(pid) for pid in pids))


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def get(port: int, path: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}").raise_for_status().json()


def starts(folder: Path) -> list[str]:
    path = folder / "starts"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("die", ["before_launch", "after_launch"])
def test_a_kill_between_accept_and_launch_leads_to_exactly_one_run(
    die: str, start: Start, loop: Loop, port: int, prometheus, post, until, tmp_path: Path
) -> None:
    prometheus.is_ripe(loop)
    doomed = start(die)
    alert = post(loop, at=datetime.now(UTC))
    answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/alerts", json=alert, headers=HEADERS)
    assert answer.status_code == 202
    assert doomed.wait(timeout=30) == -signal.SIGKILL
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", "flights")
    assert [r.state for r in ledger.runs()] == ["accepted"], "accepted, and not launched"

    start(die)
    until(lambda: get(port, "runs")[0]["state"] == "running")
    again = httpx.post(f"http://127.0.0.1:{port}/api/v1/alerts", json=alert, headers=HEADERS)
    assert again.json()["duplicates"] == 1, "Alertmanager may deliver again what it is unsure of"
    (tmp_path / "go").touch()
    until(lambda: get(port, "runs")[0]["state"] == "ended")
    (run,) = get(port, "runs")
    assert starts(tmp_path) == [run["id"]]
    assert (run["outcome"], run["version"], run["trigger"]) == ("promoted", "2", 1)
    assert ledger.audit().runs == 1
    ledger.close()


def test_a_terminated_service_leaves_its_run_and_the_next_adopts_it(
    start: Start, loop: Loop, port: int, prometheus, until, tmp_path: Path
) -> None:
    prometheus.is_ripe(loop)
    service = start()
    body = {"source": "manual", "reason": "new routes"}
    httpx.post(f"http://127.0.0.1:{port}/api/v1/triggers", json=body, headers=HEADERS)
    until(lambda: starts(tmp_path))
    pid = until(lambda: get(port, "runs")[0]["process"])["pid"]
    service.terminate()
    assert service.wait(timeout=20) == 0
    assert is_alive(pid)
    start()
    assert get(port, "status")["run_in_progress"] == get(port, "runs")[0]["id"]
    (tmp_path / "go").touch()
    until(lambda: get(port, "runs")[0]["state"] == "ended")
    assert get(port, "runs")[0]["outcome"] == "promoted"
    assert len(starts(tmp_path)) == 1
    assert get(port, "status")["run_in_progress"] is None


def test_a_taken_port_is_named_and_nothing_is_decided(
    start: Start, port: int, tmp_path: Path
) -> None:
    start()
    command = [sys.executable, "-m", "kontinual.trigger", "--loop", str(LOOP), "--port", str(port)]
    environment = os.environ | {"KONTINUAL_HOME": str(tmp_path), "KONTINUAL_TOKEN": "secret"}
    second = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert second.returncode == 1
    assert f"nothing can be served on 127.0.0.1:{port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_real_alertmanager_delivers_one_alert_into_one_decision(
    start: Start, loop: Loop, port: int, prometheus, until, tmp_path: Path, unused: int
) -> None:
    prometheus.is_ripe(loop)
    start()
    (tmp_path / "token").write_text("secret")
    (tmp_path / "alertmanager.yml").write_text(
        render_alertmanager(
            loop,
            trigger_url=f"http://127.0.0.1:{port}",
            token_file=tmp_path / "token",
            speedup=10_000,
        )
    )
    url = f"http://127.0.0.1:{unused}"
    command = [
        str(find_tool("alertmanager")),
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{unused}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "alertmanager.log").open("wb") as log:
        alertmanager = subprocess.Popen(command, stderr=log)
    try:
        until(lambda: is_ready(url))
        labels = {
            "alertname": "KontinualQualityDecay",
            "kind": "quality_decay",
            "action": "retrain",
            "model": "flights",
            "version": "1",
            "cluster": "an external label that the series does not have",
        }
        alert = {"labels": labels, "annotations": {"summary": "worse"}}
        httpx.post(f"{url}/api/v2/alerts", json=[alert]).raise_for_status()
        until(lambda: get(port, "runs"))
    finally:
        alertmanager.terminate()
        alertmanager.wait(timeout=20)
    (trigger,) = get(port, "triggers")
    assert (trigger["source"], trigger["alert"]) == ("alertmanager", "quality_decay")
    assert (trigger["decision"], trigger["summary"]) == ("accept", "worse")
    assert trigger["run"] == get(port, "runs")[0]["id"]
    assert 'kontinual:quality_decay:value{model="flights"} > 0.03' in prometheus.queries


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False
