"""HTTP on one side, an Endpoint on the other."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kube.endpoint import Endpoint, Query, key_of, named

__all__ = ["handler_for"]

WATCH_SECONDS = 300


def handler_for(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    """A handler class of the standard library's server."""

    class Handler(_Handler):
        answering = endpoint

    return Handler


class _Handler(BaseHTTPRequestHandler):
    answering: Endpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        """Tests look at `KubeServer.requests` instead."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.command == "GET" and "watch" in query:
            self._watch(url.path, query)
            return
        status, answer = self.answering.answer(self.command, url.path, query, body)
        if status == 0:
            self.close_connection = True
            return
        content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _watch(self, path: str, query: Query) -> None:
        self.answering.requests.append(f"GET {path}")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        changes = self.answering.store.watch(
            named(key_of(path)[0], query),
            query.get("labelSelector", ""),
            int(query.get("resourceVersion") or 0),
            float(query.get("timeoutSeconds") or WATCH_SECONDS),
        )
        try:
            for change in changes:
                line = json.dumps(change).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
