"""The objects of a cluster and the rules by which they change."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.kube.selectors import labels_match

__all__ = ["Json", "Key", "ObjectStore", "Refused"]

Json = dict[str, Any]
WATCH_TICK_SECONDS = 0.5
NO_STATUS = {"configmaps", "secrets", "leases", "events", "serviceaccounts"}


class Key(NamedTuple):
    """Where an object is; without a name: where objects of its kind are."""

    group: str
    plural: str
    namespace: str  # "" for what belongs to no namespace, and for a list over all
    name: str = ""


@dataclass
class Refused(Exception):
    """A request that the API server refuses."""

    status: int
    reason: str
    message: str


class ObjectStore:
    """Holds every object; each method is atomic."""

    def __init__(self) -> None:
        self.admit: list[Callable[[Json, Json | None], Json]] = []
        """Webhooks: the object that is wanted and the one that is (None: it is new) → the object
        to store. They may change it, or raise Refused."""
        self._objects: dict[Key, Json] = {}
        self._events: list[tuple[int, str, Key, Json]] = []
        self._version = 0
        self._changed = threading.Condition(threading.RLock())
        self._closed = False

    def last_change(self, *, ignoring: set[str]) -> int:
        """Version of the latest change of any object that is not of these plurals."""
        with self._changed:
            return max(
                (v for v, _, key, _ in self._events if key.plural not in ignoring), default=0
            )

    def close(self) -> None:
        """End every watch."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def get(self, key: Key) -> Json:
        with self._changed:
            return _copy(self._found(key))

    def find(self, where: Key, selector: str = "") -> tuple[list[Json], str]:
        """Objects of a kind by a label selector, and the version of the whole they belong to."""
        with self._changed:
            found = [
                _copy(self._objects[key])
                for key in sorted(self._objects)
                if _within(key, where) and labels_match(self._objects[key], selector)
            ]
            return found, str(self._version)

    def create(self, where: Key, wanted: Json, *, dry_run: bool = False) -> Json:
        with self._changed:
            wanted = _copy(wanted)
            meta = wanted.setdefault("metadata", {})
            if not meta.get("name") and meta.get("generateName"):
                meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
            key = where._replace(name=str(meta.get("name") or ""))
            if not key.name:
                raise Refused(422, "Invalid", "metadata.name: Required value")
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{_kind(key)} "{key.name}" already exists')
            if key.namespace:
                meta["namespace"] = key.namespace
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
            if key.plural not in NO_STATUS:
                wanted.pop("status", None)
            wanted = self._admitted(wanted, None)
            return self._put("ADDED", key, wanted, dry_run=dry_run)

    def replace(self, key: Key, wanted: Json, *, part: str = "", dry_run: bool = False) -> Json:
        """Put an object in place of another, or its `status` alone."""
        with self._changed:
            before = self._found(key)
            wanted = _copy(wanted)
            version = wanted.get("metadata", {}).get("resourceVersion")
            if not version:
                text = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
                raise Refused(422, "Invalid", text)
            if version != before["metadata"]["resourceVersion"]:
                text = (
                    f'Operation cannot be fulfilled on {_kind(key)} "{key.name}": the object has '
                    "been modified; please apply your changes to the latest version and try again"
                )
                raise Refused(409, "Conflict", text)
            return self._changed_to(key, before, wanted, part=part, dry_run=dry_run)

    def patch(self, key: Key, patch: Json, *, part: str = "", dry_run: bool = False) -> Json:
        """Merge a patch (RFC 7386) into an object; a resourceVersion in it is compared."""
        with self._changed:
            before = self._found(key)
            merged = _merged(_copy(before), patch)
            return self.replace(key, merged, part=part, dry_run=dry_run)

    def delete(self, key: Key, *, version: str = "", orphan: bool = False) -> Json:
        """Remove an object, and what it owns unless that is to be orphaned."""
        with self._changed:
            gone = self._found(key)
            if version and version != gone["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", "the resourceVersion in the precondition is older")
            del self._objects[key]
            self._tell("DELETED", key, gone)
            owned = [] if orphan else self._owned_by(gone["metadata"]["uid"])
            for each in owned:
                if each in self._objects:
                    self.delete(each)
            return gone

    def watch(self, where: Key, selector: str, since: int, seconds: float) -> Iterator[Json]:
        """Changes after a version, until the time is up or the server closes."""
        end = datetime.now(UTC).timestamp() + seconds
        while True:
            with self._changed:
                if not any(version > since for version, *_ in self._events):
                    self._changed.wait(WATCH_TICK_SECONDS)
                news = [event for event in self._events if event[0] > since]
                closed = self._closed
            for version, what, key, found in news:
                since = version
                if _within(key, where) and labels_match(found, selector):
                    yield {"type": what, "object": found}
            if closed or datetime.now(UTC).timestamp() > end:
                return

    def _changed_to(
        self, key: Key, before: Json, wanted: Json, *, part: str, dry_run: bool
    ) -> Json:
        if part == "status":
            wanted = {**_copy(before), "status": wanted.get("status", {})}
        else:
            if key.plural not in NO_STATUS:
                wanted.pop("status", None)
                if "status" in before:
                    wanted["status"] = _copy(before["status"])
            kept = ("uid", "creationTimestamp", "generation", "namespace", "name")
            old = before["metadata"]
            wanted["metadata"] |= {k: old[k] for k in kept if k in old}
            wanted = self._admitted(wanted, before)
            if _without_meta(wanted) != _without_meta(before):
                wanted["metadata"]["generation"] = old["generation"] + 1
        if wanted == before:
            return _copy(before)
        return self._put("MODIFIED", key, wanted, dry_run=dry_run)

    def _admitted(self, wanted: Json, before: Json | None) -> Json:
        for webhook in self.admit:
            wanted = webhook(wanted, _copy(before))
        return wanted

    def _put(self, what: str, key: Key, wanted: Json, *, dry_run: bool) -> Json:
        wanted["metadata"]["resourceVersion"] = str(self._version + 1)
        if not dry_run:
            self._objects[key] = wanted
            self._tell(what, key, wanted)
        return _copy(wanted)

    def _tell(self, what: str, key: Key, found: Json) -> None:
        self._version += 1
        self._events.append((self._version, what, key, found))
        self._changed.notify_all()

    def _found(self, key: Key) -> Json:
        if key not in self._objects:
            raise Refused(404, "NotFound", f'{_kind(key)} "{key.name}" not found')
        return self._objects[key]

    def _owned_by(self, uid: str) -> list[Key]:
        return [
            key
            for key, found in self._objects.items()
            if any(o["uid"] == uid for o in found["metadata"].get("ownerReferences") or [])
        ]


def _copy(found: Any) -> Any:
    """What is stored never changes; this is several times as fast as `copy.deepcopy`."""
    return json.loads(json.dumps(found))


def _within(key: Key, where: Key) -> bool:
    same = (key.group, key.plural) == (where.group, where.plural)
    return same and where.namespace in {"", key.namespace} and where.name in {"", key.name}


def _kind(key: Key) -> str:
    return f"{key.plural}.{key.group}" if key.group else key.plural


def _without_meta(found: Json) -> Json:
    return {k: v for k, v in found.items() if k not in {"metadata", "status"}}


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _merged(target.get(name), value)
    return target
