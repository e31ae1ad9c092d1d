"""Accepted webhooks a second: the trigger service, and a bare handler, under the same load."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.processes import free_port, process, wait_ready
from harness.wrk import wrk
from sqlalchemy import create_engine, text

from kontinual.spec import load_loop
from kontinual.trigger import migrate
from tests.integration.trigger.postgres import PostgresServer
from webhooks.world import HEADERS, LOOP, labels_of, retraining, trigger

__all__ = ["Databases", "Load", "load"]

BENCHMARK = Path(__file__).parents[1] / "trigger.py"
ID = "@id@"

# Every webhook brings an alert that was never there before.
SCRIPT = """
local before, after = [==[%(before)s]==], [==[%(after)s]==]
local headers = {["Content-Type"] = "application/json", ["Authorization"] = "%(token)s"}
local n = 0
request = function()
  n = n + 1
  local id = string.format("%%016x", n)
  return wrk.format("POST", "/api/v1/alerts", headers, before .. id .. after)
end
"""


@dataclass(frozen=True)
class Load:
    """How much: seconds of it (after one that does not count), and connections kept open."""

    seconds: float
    connections: int


class Databases:
    """New and empty databases, of a file or of a server, that keep what they acknowledge."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        self.kind = kind
        self._server = stack.enter_context(PostgresServer(fsync=True)) if kind != "sqlite" else None

    def new(self, folder: Path) -> str:
        """The URL of one, in a folder where it is a file."""
        if self._server is None:
            return f"sqlite:///{folder}/ledger.db"
        url = self._server.new_database()
        migrate(url)
        return url


def load(
    variant: str, databases: Databases, folder: Path, prometheus_url: str, much: Load
) -> dict[str, float]:
    """Figures of a new server on a new database; all that was acknowledged is in it.

    Args:
        variant: `trigger` or `bare`.
        databases: of the kind that is measured.
        folder: an empty one.
        prometheus_url: where the trigger asks again.
        much: how much load.
    """
    database = databases.new(folder)
    with ExitStack() as stack:
        if variant == "trigger":
            url = stack.enter_context(trigger(folder, database, prometheus_url))
        else:
            url = stack.enter_context(_bare(database))
        warm = _wrk(url, folder, "a", 1, much.connections)
        figures = _wrk(url, folder, "b", much.seconds, much.connections)
    acknowledged = warm["requests"] + figures["requests"]
    stored = _rows(database, "ledger_triggers" if variant == "trigger" else "webhooks")
    if not acknowledged <= stored <= acknowledged + 2 * much.connections:  # wrk omits the last ones
        raise RuntimeError(f"{acknowledged} webhooks were acknowledged, but {stored} are stored")
    return figures


@contextmanager
def _bare(database: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process([str(BENCHMARK), "bare", database, str(port)], {}) as child:
        wait_ready(child, f"{url}/healthz")
        yield url


def _wrk(url: str, folder: Path, name: str, seconds: float, connections: int) -> dict[str, float]:
    before, after = _body().split(ID)
    values = {"before": before + name, "after": after, "token": HEADERS["Authorization"]}
    script = folder / "load.lua"
    return wrk(url, script, SCRIPT % values, seconds=seconds, connections=connections)


def _rows(database: str, table: str) -> int:
    engine = create_engine(database)
    try:
        with engine.connect() as connection:
            return connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0  # noqa: S608
    finally:
        engine.dispose()


def _body() -> str:
    """What Alertmanager delivers of one alert, with a place for its fingerprint."""
    loop = load_loop(str(LOOP))
    labels = labels_of(loop, retraining(loop)[0])
    annotations = {
        "summary": "The champion ranks worse than on its holdout",
        "description": "By the labels of 30d its ROC AUC has fallen by more than 0.03.",
        "runbook_url": f"{loop.monitoring.runbook_url}#{labels['kind']}",
    }
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-01-01T00:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=kontinual%3Aquality_decay",
        "fingerprint": ID,
    }
    group = {"model": labels["model"], "kind": labels["kind"]}
    return json.dumps(
        {
            "receiver": "trigger",
            "status": "firing",
            "alerts": [alert],
            "groupLabels": group,
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "http://alertmanager.example",
            "version": "4",
            "groupKey": "{}:" + json.dumps(group),
            "truncatedAlerts": 0,
        }
    )
