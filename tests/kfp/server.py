"""An imitation of Kubeflow Pipelines' API (v2beta1) for tests, with trouble on demand.

It holds experiments, pipelines, versions, runs and recurring runs as the real one does where
it matters here: display names of runs and recurring runs are not unique, a recurring run can
not be changed, lists come in pages, the filter compares `display_name`, parameters have a
limit, and where several users are served a namespace and a bearer token are asked for.
"""

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Fault", "KfpServer", "kfp_server"]

Json = dict[str, Any]
PARAMETERS_LIMIT = 10_000
FIELDS = {
    "experiments": "experiments",
    "pipelines": "pipelines",
    "versions": "pipeline_versions",
    "runs": "runs",
    "recurringruns": "recurringRuns",
}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Fault:
    """Trouble for the next requests that match: `done` ones are carried out all the same."""

    method: str
    path: str
    status: int | None = 500  # None: the connection is closed without an answer
    done: bool = False
    times: int = 1


@dataclass
class KfpServer:
    """What the server holds, and what it was asked."""

    multi_user: bool = False
    tokens: dict[str, set[str]] = field(default_factory=dict)  # token → namespaces
    page_size: int | None = None  # smaller pages than asked for
    delay_seconds: float = 0  # before each answer
    kept: dict[str, list[Json]] = field(default_factory=lambda: {name: [] for name in FIELDS})
    uploads: list[bytes] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # What a test looks at and does -----------------------------------------

    def runs(self, name: str | None = None) -> list[Json]:
        return [r for r in self.kept["runs"] if name in (None, r["display_name"])]

    def finish(self, run_id: str, state: str, error: str | None = None) -> None:
        """Let a run end."""
        run = self._one("runs", run_id)
        run["state"] = state
        if error:
            run["error"] = {"code": 2, "message": error}

    def writes(self) -> list[str]:
        return [r for r in self.requests if not r.startswith("GET")]

    # What it answers -------------------------------------------------------

    def answer(
        self, method: str, path: str, query: Json, headers: Message, body: bytes
    ) -> Json | None:
        """The answer to a request; None for a connection that is closed instead."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            fault = self._fault(method, path)
            if fault and not fault.done:
                return self._trouble(fault)
            told = self._route(method, path.removeprefix("/apis/v2beta1/"), query, headers, body)
            return self._trouble(fault) if fault else told

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def _trouble(self, fault: Fault) -> None:
        if fault.status is not None:
            raise Refused(fault.status, "trouble on demand")

    def _route(self, method: str, path: str, query: Json, headers: Message, body: bytes) -> Json:
        may = self._namespaces(headers)
        match method, re.split(r"[/:]", path):
            case "GET", ["pipelines", pipeline, "versions"]:
                return self._list("versions", query, pipeline_id=pipeline)
            case "GET", [("experiments" | "pipelines") as kind]:
                return self._list(kind, query, namespace=self._allowed(query.get("namespace"), may))
            case "GET", [("runs" | "recurringruns") as kind]:
                return self._list(kind, query, experiment_id=query.get("experiment_id"))
            case "GET", [("runs" | "recurringruns") as kind, identity]:
                return self._one(kind, identity)
            case "POST", ["pipelines", "upload_version"]:
                return self._upload(query, headers, body)
            case "POST", [kind] if kind in FIELDS:
                return self._create(kind, json.loads(body), may)
            case "POST", ["runs", identity, "terminate"]:
                self._one("runs", identity)["state"] = "CANCELING"
                return {}
            case "POST", ["recurringruns", identity, ("enable" | "disable") as verb]:
                wanted = {"mode": verb.upper(), "status": f"{verb.upper()}D"}
                self._one("recurringruns", identity).update(wanted)
                return {}
            case "DELETE", ["recurringruns", identity]:
                self.kept["recurringruns"].remove(self._one("recurringruns", identity))
                return {}
        raise Refused(404, f"no such path: {method} {path}")

    def _namespaces(self, headers: Message) -> set[str]:
        if not self.multi_user:
            return set()
        token = (headers.get("authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refused(401, "Request header error: there is no valid user identity")
        return self.tokens[token]

    def _allowed(self, namespace: str | None, may: set[str]) -> str | None:
        if self.multi_user and not namespace:
            raise Refused(400, "Invalid input error: a namespace is needed in multi-user mode")
        if self.multi_user and namespace not in may:
            raise Refused(403, f"User is not authorized in namespace {namespace}")
        return namespace

    def _list(self, kind: str, query: Json, **where: str | None) -> Json:
        found = [
            one
            for one in self.kept[kind]
            if all(value is None or one.get(key) == value for key, value in where.items())
        ]
        for predicate in json.loads(query.get("filter", "{}")).get("predicates", []):
            assert predicate["operation"] == "EQUALS"
            found = [o for o in found if o[predicate["key"]] == predicate["stringValue"]]
        if query.get("sort_by") == "created_at desc":
            found.reverse()
        start = int(query.get("page_token") or 0)
        end = start + min(int(query.get("page_size") or 10), self.page_size or 10_000)
        rest = {"next_page_token": str(end)} if end < len(found) else {}
        return {FIELDS[kind]: found[start:end], "total_size": len(found), **rest}

    def _create(self, kind: str, body: Json, may: set[str]) -> Json:
        if kind in {"experiments", "pipelines"}:
            self._allowed(body.get("namespace"), may)
            if any(body["display_name"] == o["display_name"] for o in self.kept[kind]):
                raise Refused(409, f"{body['display_name']} already exists")
        else:
            self._check_run(body)
        key = {"recurringruns": "recurring_run_id"}.get(kind, f"{kind[:-1]}_id")
        made = {**body, key: f"{kind}-{next(self._ids)}", "created_at": self._now()}
        if kind == "runs":
            made["state"] = "PENDING"
        if kind == "recurringruns":
            made["status"] = f"{body['mode']}D"
        self.kept[kind].append(made)
        return made

    def _check_run(self, body: Json) -> None:
        self._one("experiments", body["experiment_id"])
        reference = body["pipeline_version_reference"]
        self._one("versions", reference["pipeline_version_id"])
        parameters = json.dumps(body.get("runtime_config", {}).get("parameters", {}))
        if len(parameters) > PARAMETERS_LIMIT:
            raise Refused(400, "The input parameter length exceed maximum size of 10000")

    def _upload(self, query: Json, headers: Message, body: bytes) -> Json:
        parsed = BytesParser().parsebytes(
            b"Content-Type: " + str(headers["content-type"]).encode() + b"\r\n\r\n" + body
        )
        (part,) = parsed.get_payload()  # type: ignore[misc]
        self._one("pipelines", query["pipelineid"])
        same = [v for v in self.kept["versions"] if v["pipeline_id"] == query["pipelineid"]]
        if any(v["display_name"] == query["name"] for v in same):
            raise Refused(409, f"version {query['name']} already exists")
        self.uploads.append(part.get_payload(decode=True))  # type: ignore[arg-type, union-attr]
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"versions-{next(self._ids)}",
            "display_name": query["name"],
            "created_at": self._now(),
        }
        self.kept["versions"].append(made)
        return made

    def _one(self, kind: str, identity: str) -> Json:
        for one in self.kept[kind]:
            if identity in one.values():
                return one
        raise Refused(404, f"{kind} {identity} not found")

    def _now(self) -> str:
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._ids))
        return moment.isoformat().replace("+00:00", "Z")


@contextmanager
def kfp_server(
    state: KfpServer | None = None, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[KfpServer]:
    """A server on a port of this machine, a free one by default; `options` make its state."""
    state = state or KfpServer(**options)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            time.sleep(state.delay_seconds)
            try:
                told = state.answer(self.command, parts.path, query, self.headers, body)
            except Refused as refused:
                message = {"error": str(refused), "code": 13, "message": str(refused)}
                return self._send(refused.status, message)
            if told is None:
                self.close_connection = True
                return None
            return self._send(200, told)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def _send(self, status: int, body: Json) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            with suppress(BrokenPipeError):  # who asked has not waited
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    state.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
