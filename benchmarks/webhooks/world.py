"""What the trigger service has around it: a Prometheus that confirms every alert, and alerts."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from harness.processes import free_port, process, wait_idle, wait_ready

from kontinual.local.tools import find_tool
from kontinual.spec import Action, Alert, Loop, load_loop

__all__ = ["HEADERS", "LOOP", "TOKEN", "labels_of", "prometheus", "retraining", "trigger"]


LOOP = Path(__file__).parents[2] / "examples" / "flights" / "loop.yaml"
TOKEN = "bench"  # noqa: S105
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def retraining(loop: Loop) -> list[Alert]:
    """The alerts that ask for a run."""
    return [a for a in loop.monitoring.alerts if a.action is Action.RETRAIN]


def labels_of(loop: Loop, alert: Alert) -> dict[str, str]:
    """What all alerts of a kind are labelled with."""
    return {
        "alertname": alert.kind.alertname,
        "model": loop.name,
        "kind": alert.kind.value,
        "action": alert.action.value,
        "severity": alert.severity,
        "version": "1",
    }


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A real Prometheus that scrapes nothing; by its rules every alert is true, and hurts."""
    loop = load_loop(str(LOOP))
    labels = {"model": loop.name, "version": "1"}
    values = {a.kind.series: 2 * a.threshold + 1 for a in retraining(loop)}
    values |= {"kontinual_matured_rows": 1e9}
    rules = [
        {"record": name, "expr": f"vector({value!r})", "labels": labels}
        for name, value in values.items()
    ]
    group = {"name": "true", "interval": "5s", "rules": rules}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    config = {"global": {"evaluation_interval": "5s"}, "rule_files": ["rules.yml"]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        str(find_tool("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with process(command, {}, log=folder / "prometheus.log") as child:
        url = f"http://127.0.0.1:{port}"
        wait_ready(child, f"{url}/-/ready")
        yield url


@contextmanager
def trigger(folder: Path, ledger: str, prometheus_url: str) -> Iterator[str]:
    """The trigger service as it is in production; its run is one that does not end by itself."""
    port = free_port()
    command = ["-m", "kontinual.trigger", "--loop", str(LOOP), "--port", str(port)]
    environment = {
        "KONTINUAL_HOME": str(folder),
        "KONTINUAL_LEDGER": ledger,
        "KONTINUAL_PROMETHEUS": prometheus_url,
        "KONTINUAL_TOKEN": TOKEN,
    }
    run = ["--run-command", "sh -c 'exec sleep 600'"]
    with ExitStack() as stack:
        stack.callback(_end_runs, folder)
        log = folder / "trigger.log"
        child = stack.enter_context(process([*command, *run], environment, log=log))
        url = f"http://127.0.0.1:{port}"
        wait_ready(child, f"{url}/healthz")
        wait_idle(child)
        yield url


def _end_runs(folder: Path) -> None:
    for note in folder.glob("runs/*/process.json"):
        told: dict[str, Any] = json.loads(note.read_text())
        with suppress(ProcessLookupError):
            os.kill(told["pid"], signal.SIGKILL)
