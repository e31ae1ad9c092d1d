"""What the API server answers to a request, whichever way the request came."""

import re
import threading
from typing import Any

from tests.kube.faults import Fault
from tests.kube.objects import Json, Key, ObjectStore, Refused

__all__ = ["Endpoint", "Query", "key_of", "named"]

Query = dict[str, str]
_PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)


class Endpoint:
    """Carries requests out on a store, unless a fault comes between."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.requests: list[str] = []  # such as `PUT /apis/...`, in the order they came
        self.logs: dict[tuple[str, str], str] = {}  # what pods said, by namespace and name
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: Query, body: Json) -> tuple[int, Any]:
        """Status and content; status 0: there is no answer, the connection breaks."""
        self.requests.append(f"{method} {path}")
        fault = self._fault(method, path, after=False)
        if fault is None:
            answer = self._carried_out(method, path, query, body)
            fault = self._fault(method, path, after=True)
        if fault is None:
            return answer
        return fault.status, _failure(fault.status, "Injected", "a fault of this test")

    def _carried_out(self, method: str, path: str, query: Query, body: Json) -> tuple[int, Any]:
        try:
            key, part = key_of(path)
            if method == "POST":
                return 201, self.store.create(key, body, dry_run="dryRun" in query)
            return 200, self._act(method, key, part, query, body)
        except Refused as exc:
            return exc.status, _failure(exc.status, exc.reason, exc.message)

    def _act(self, method: str, key: Key, part: str, query: Query, body: Json) -> Any:
        if method == "GET":
            return self._read(key, part, query)
        if method == "DELETE":
            return self._delete(key, query, body)
        change = self.store.replace if method == "PUT" else self.store.patch
        return change(key, body, part=part, dry_run="dryRun" in query)

    def _fault(self, method: str, path: str, *, after: bool) -> Fault | None:
        with self._lock:
            met = (f for f in self.faults if f.meets(method, path, after=after))
            fault = next(met, None)
            if fault is not None:
                fault.times -= 1
            return fault

    def _read(self, key: Key, part: str, query: Query) -> Any:
        if part == "log":
            return self.logs.get((key.namespace, key.name), "")
        if key.name:
            return self.store.get(key)
        items, version = self.store.find(named(key, query), query.get("labelSelector", ""))
        kind = f"{items[0]['kind']}List" if items and "kind" in items[0] else "List"
        meta = {"resourceVersion": version}
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "items": items}

    def _delete(self, key: Key, query: Query, body: Json) -> Json:
        version = (body.get("preconditions") or {}).get("resourceVersion", "")
        orphan = {**body, **query}.get("propagationPolicy") == "Orphan"
        if key.name:
            self.store.delete(key, version=version, orphan=orphan)
        else:
            for found in self.store.find(key, query.get("labelSelector", ""))[0]:
                meta = found["metadata"]
                where = key._replace(namespace=meta.get("namespace", ""), name=meta["name"])
                self.store.delete(where, orphan=orphan)
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}


def key_of(path: str) -> tuple[Key, str]:
    """The object, or kind, that a path names, and its subresource."""
    found = _PATH.match(path)
    if found is None:
        raise Refused(404, "NotFound", f"the server could not find {path}")
    group, namespace = found["group"] or "", found["namespace"] or ""
    return Key(group, found["plural"], namespace, found["name"] or ""), found["part"] or ""


def named(key: Key, query: Query) -> Key:
    """A list by fieldSelector, of which the tests' clients use the name alone."""
    selector = query.get("fieldSelector", "")
    if not selector.startswith("metadata.name="):
        return key
    return key._replace(name=selector.removeprefix("metadata.name="))


def _failure(code: int, reason: str, message: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
