"""Bodies reach a server over one connection, and a new one after trouble."""

import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kontinual.errors import ServiceError
from kontinual.serving.post import Connection


class Handler(BaseHTTPRequestHandler):
    """Remembers what came, and answers as the server says."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.client_address[1], self.path, self.headers, body))
        status = self.server.statuses.pop(0)
        if status is None:  # leave without an answer
            self.close_connection = True
            return
        content = b"told why" * 100
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Listens on a free port."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Any] = []
        self.statuses: list[int | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/api/v1/events"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def connection(url: str) -> Connection:
    return Connection(url, content_type="text/odd", timeout_seconds=20)


@pytest.fixture
def post(server: Server) -> Iterator[Connection]:
    post = connection(server.url)
    yield post
    post.close()


def test_bodies_however_large_go_over_one_connection(server: Server, post: Connection) -> None:
    server.statuses = [202, 200]
    assert post([b"start-", memoryview(b"x" * 5_000_000), b"-end"]) == (202, "")
    assert post([b"small"]) == (200, "")
    ports, paths, headers, bodies = zip(*server.seen, strict=True)
    assert len(set(ports)) == 1
    assert set(paths) == {"/api/v1/events"}
    assert {h["content-type"] for h in headers} == {"text/odd"}
    assert bodies == (b"start-" + b"x" * 5_000_000 + b"-end", b"small")


def test_a_refusal_comes_with_the_start_of_its_reason(server: Server, post: Connection) -> None:
    server.statuses = [422, 202]
    status, reason = post([b"x"])
    assert status == 422
    assert reason.startswith("told why")
    assert len(reason) == 300
    assert post([b"x"]) == (202, "")


def test_it_connects_anew_after_the_server_left(server: Server, post: Connection) -> None:
    server.statuses = [202, None, 202]
    post([b"1"])
    with pytest.raises((OSError, HTTPException)):
        post([b"2"])
    assert post([b"3"]) == (202, "")
    assert len({port for port, *_ in server.seen}) == 2


def test_nobody_there_is_an_error_each_time() -> None:
    post = connection("http://127.0.0.1:9/")
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            post([b"x"])


@pytest.mark.parametrize("url", ["collector:8080", "ftp://collector", "http://", ""])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ServiceError, match=f"http://collector:8080 is needed, but got '{url}'"):
        connection(url)
