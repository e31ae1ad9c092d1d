import importlib.util
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kontinual.spec import Loop, load_loop
from kontinual.trigger import migrate

ROOT = Path(__file__).parents[3]


def load_beside(name: str) -> ModuleType:
    """A module of this folder; tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PostgresServer = load_beside("postgres").PostgresServer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """The condition's first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class FakePrometheus:
    """Prometheus' query API with answers by the start of the query."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.status = 200
        self.body: bytes | None = None
        self.queries: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                (query,) = parse_qs(urlsplit(self.path).query)["query"]
                fake.queries.append(query)
                body = fake.answer(query)
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, query: str) -> bytes:
        if self.body is not None:
            return self.body
        found = [s for k, v in self.answers.items() if query.startswith(k) for s in v]
        result = [{"metric": labels, "value": [0, str(value)]} for labels, value in found]
        told = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return json.dumps(told).encode()

    def is_ripe(self, loop: Loop) -> None:
        """Let everything speak for a run."""
        labels = {"model": loop.name, "version": "1"}
        self.answers["kontinual:quality_decay:value"] = [(labels, 0.05)]
        self.answers["kontinual_matured_rows"] = [({"model": loop.name}, 5000)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def delivery(loop: Loop, *, status: str = "firing", at: datetime, **labels: str) -> dict[str, Any]:
    """What Alertmanager posts for one alert."""
    named = {"alertname": "KontinualQualityDecay", "kind": "quality_decay", "model": loop.name}
    alert = {
        "status": status,
        "labels": named | {"version": "1"} | labels,
        "annotations": {},
        "startsAt": at.isoformat(),
        "endsAt": at.isoformat(),
        "fingerprint": "-".join(["f", *labels.values()]),
    }
    return {"version": "4", "groupKey": "g", "truncatedAlerts": 0, "alerts": [alert]}


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(ROOT / "examples" / "flights" / "loop.yaml"))


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()
    yield fake
    fake.close()


@pytest.fixture
def post() -> Callable[..., dict[str, Any]]:
    return delivery


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def unused() -> int:
    """Another free port."""
    return free_port()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database with the ledger's tables, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/contract.db"
    url: str = request.getfixturevalue("postgres").new_database()
    migrate(url)
    return url
