"""A burst of different alerts through a real Alertmanager: all in the ledger, and one run."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
from harness.processes import free_port, process, wait_ready

from kontinual.local.tools import find_tool
from kontinual.monitoring import render_alertmanager
from kontinual.spec import load_loop
from kontinual.trigger import Ledger
from webhooks.world import HEADERS, LOOP, TOKEN, labels_of, retraining, trigger

__all__ = ["burst"]

LOOP_DECLARED = load_loop(str(LOOP))
AT_ONCE = 500  # alerts in one request to Alertmanager
LONGEST_SECONDS = 600.0


def burst(database: str, folder: Path, prometheus_url: str, *, alerts: int) -> dict[str, float]:
    """Let so many different alerts fire at once, and see what becomes of them.

    They are of all kinds that ask for a retraining, in turn, and go into an Alertmanager whose
    configuration is the one that is rendered for the loop: it groups them and delivers.

    Returns:
        Seconds from the first delivery until all were recorded and until all were decided; alerts
        that the ledger holds, those among them that were decided, and runs.
    """
    with ExitStack() as stack:
        url = stack.enter_context(trigger(folder, database, prometheus_url))
        alertmanager = stack.enter_context(_alertmanager(folder, url))
        _fire(alertmanager, alerts)
        ledger = stack.enter_context(closing(Ledger(database, LOOP_DECLARED.name)))
        _wait(lambda: _recorded(url) > 0)
        began = time.monotonic()
        _wait(lambda: _recorded(url) >= alerts)
        recorded = time.monotonic() - began
        _wait(lambda: ledger.open_summary()[0] is None)
        decided = time.monotonic() - began
        audit, triggers = ledger.audit(), ledger.triggers()
    return {
        "recorded_seconds": recorded,
        "decided_seconds": decided,
        "in_ledger": len({t.fingerprint for t in triggers}),
        "decided": sum(t.decision is not None for t in triggers),
        "runs": audit.runs,
    }


def _fire(alertmanager: str, alerts: int) -> None:
    """Alertmanager waits a while before it delivers, so that all come at once."""
    kinds = [labels_of(LOOP_DECLARED, alert) for alert in retraining(LOOP_DECLARED)]
    firing = [
        {
            "labels": kinds[i % len(kinds)] | {"instance": f"host-{i}"},
            "annotations": {"summary": f"alert {i} of a burst", "description": "d" * 200},
            "generatorURL": "http://prometheus.example/graph?g0.expr=" + "e" * 200,
        }
        for i in range(alerts)
    ]
    for i in range(0, alerts, AT_ONCE):
        batch = firing[i : i + AT_ONCE]
        httpx.post(f"{alertmanager}/api/v2/alerts", json=batch, timeout=60).raise_for_status()


@contextmanager
def _alertmanager(folder: Path, trigger_url: str) -> Iterator[str]:
    token = folder / "token"
    token.write_text(TOKEN)
    config = render_alertmanager(LOOP_DECLARED, trigger_url=trigger_url, token_file=token)
    (folder / "alertmanager.yml").write_text(config)
    port = free_port()
    command = [
        str(find_tool("alertmanager")),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with process(command, {}, log=folder / "alertmanager.log") as child:
        url = f"http://127.0.0.1:{port}"
        wait_ready(child, f"{url}/-/ready")
        yield url


def _recorded(url: str) -> float:
    text = httpx.get(f"{url}/metrics", headers=HEADERS, timeout=60).text
    wanted = ("kontinual_webhook_alerts_total", 'result="recorded"')
    found = [x for x in text.splitlines() if x.startswith(wanted[0]) and wanted[1] in x]
    return sum(float(line.split()[-1]) for line in found)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all was done in {LONGEST_SECONDS:.0f} s")
        time.sleep(0.05)
