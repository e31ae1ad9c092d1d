"""HTTP on one side, an ObjectStore on the other."""

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.kube.objects import Key, Refused

if TYPE_CHECKING:
    from tests.kube.server import KubeServer

__all__ = ["handler_for"]

_PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
WATCH_SECONDS = 300


def handler_for(server: "KubeServer") -> type[BaseHTTPRequestHandler]:
    """A handler class of the standard library's server."""

    class Handler(_Handler):
        kube = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    kube: "KubeServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve(self._read)

    def do_POST(self) -> None:
        self._serve(
            lambda key, _, query: self.kube.store.create(key, self._body, dry_run="dryRun" in query)
        )

    def do_PUT(self) -> None:
        self._serve(
            lambda key, part, query: self.kube.store.replace(
                key, self._body, part=part, dry_run="dryRun" in query
            )
        )

    def do_PATCH(self) -> None:
        self._serve(
            lambda key, part, query: self.kube.store.patch(
                key, self._body, part=part, dry_run="dryRun" in query
            )
        )

    def do_DELETE(self) -> None:
        self._serve(self._delete)

    def log_message(self, *_: Any) -> None:
        """Tests look at `server.requests` instead."""

    def _serve(self, act: Callable[[Key, str, dict[str, str]], Any]) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self._body = json.loads(self.rfile.read(length) or b"{}")
        self.kube.requests.append(f"{self.command} {url.path}")
        if self._faulty(url.path, after=False):
            return
        try:
            key, part = _key(url.path)
            if self.command == "GET" and "watch" in query:
                self._watch(key, query)
                return
            status, answer = 201 if self.command == "POST" else 200, act(key, part, query)
        except Refused as exc:
            status, answer = exc.status, _status(exc.status, exc.reason, exc.message)
        if not self._faulty(url.path, after=True):
            self._answer(status, answer)

    def _faulty(self, path: str, *, after: bool) -> bool:
        fault = self.kube.take_fault(self.command, path, after=after)
        if fault is None:
            return False
        if fault.status == 0:
            self.close_connection = True
        else:
            self._answer(fault.status, _status(fault.status, "Injected", "a fault of this test"))
        return True

    def _read(self, key: Key, part: str, query: dict[str, str]) -> Any:
        if part == "log":
            return self.kube.logs.get((key.namespace, key.name), "")
        if key.name:
            return self.kube.store.get(key)
        if query.get("fieldSelector", "").startswith("metadata.name="):
            key = key._replace(name=query["fieldSelector"].removeprefix("metadata.name="))
        items, version = self.kube.store.find(key, query.get("labelSelector", ""))
        kind = f"{items[0]['kind']}List" if items and "kind" in items[0] else "List"
        meta = {"resourceVersion": version}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "items": items}

    def _delete(self, key: Key, _part: str, query: dict[str, str]) -> Any:
        options = {**self._body, **query}
        version = (self._body.get("preconditions") or {}).get("resourceVersion", "")
        orphan = options.get("propagationPolicy") == "Orphan"
        if key.name:
            self.kube.store.delete(key, version=version, orphan=orphan)
        else:
            for found in self.kube.store.find(key, query.get("labelSelector", ""))[0]:
                meta = found["metadata"]
                where = key._replace(namespace=meta.get("namespace", ""), name=meta["name"])
                self.kube.store.delete(where, orphan=orphan)
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}

    def _watch(self, key: Key, query: dict[str, str]) -> None:
        if query.get("fieldSelector", "").startswith("metadata.name="):
            key = key._replace(name=query["fieldSelector"].removeprefix("metadata.name="))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        changes = self.kube.store.watch(
            key,
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

    def _answer(self, status: int, answer: Any) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        body = text.encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _key(path: str) -> tuple[Key, str]:
    found = _PATH.match(path)
    if found is None:
        raise Refused(404, "NotFound", f"the server could not find {path}")
    group, namespace = found["group"] or "", found["namespace"] or ""
    return Key(group, found["plural"], namespace, found["name"] or ""), found["part"] or ""


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
