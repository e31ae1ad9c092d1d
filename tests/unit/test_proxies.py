"""A company's proxy is for the world outside: this machine's own services are asked directly."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from requests.utils import get_environ_proxies

from kontinual.proxies import ask_own_machine_directly

DEAD = "http://127.0.0.1:9"
OWN = ["http://127.0.0.1:9090", "http://localhost:9090", "http://[::1]:9090"]
LOOP = Path(__file__).parents[2] / "examples" / "flights" / "loop.yaml"


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, DEAD)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("url", OWN)
def test_requests_asks_this_machine_directly_and_others_by_the_proxy(url: str) -> None:
    assert get_environ_proxies(url)["http"] == DEAD

    ask_own_machine_directly()

    assert get_environ_proxies(url) == {}
    assert get_environ_proxies("http://example.org")["http"] == DEAD


@pytest.mark.parametrize("url", OWN)
def test_httpx_asks_this_machine_directly_and_others_by_the_proxy(url: str) -> None:
    ask_own_machine_directly()

    with httpx.Client() as client:
        direct = client._transport
        assert client._transport_for_url(httpx.URL(url)) is direct
        assert client._transport_for_url(httpx.URL("http://example.org")) is not direct


def test_what_was_excepted_before_stays_so_and_a_second_call_adds_nothing() -> None:
    environment = {"NO_PROXY": ".corp.example, localhost", "no_proxy": "*"}

    ask_own_machine_directly(environment)
    ask_own_machine_directly(environment)

    assert environment["NO_PROXY"] == ".corp.example,localhost,127.0.0.1,::1"
    assert environment["no_proxy"] == "*"


@pytest.fixture
def service() -> Iterator[str]:
    """Something that is not a trigger service, at an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_command_reaches_its_service_past_the_proxy(service: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "KONTINUAL_HOME": str(tmp_path / "home"),
        "KONTINUAL_TRIGGER": service,
    }

    told = subprocess.run(
        [sys.executable, "-m", "kontinual", "pause", str(LOOP), "--reason", "a storm"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 1
    assert "418" in told.stderr
