"""Conditions as Katib keeps them: one of each type, the latest change last."""

from datetime import UTC, datetime
from typing import Any

__all__ = ["has", "mark", "now"]

Json = dict[str, Any]


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def has(thing: Json, *kinds: str) -> bool:
    """Does a condition of one of these types hold?"""
    held = thing.get("status", {}).get("conditions") or []
    return any(c["type"] in kinds and c["status"] == "True" for c in held)


def mark(thing: Json, kind: str, reason: str, message: str) -> None:
    """Let a condition hold; an end lets Running hold no longer."""
    if kind not in {"Created", "Running", "Restarting", "EarlyStopped"}:
        for held in thing["status"].get("conditions", []):
            if held["type"] == "Running":
                _set(thing, "Running", "False", held["reason"], held["message"])
                break
    _set(thing, kind, "True", reason, message)


def _set(thing: Json, kind: str, status: str, reason: str, message: str) -> None:
    conditions = thing.setdefault("status", {}).setdefault("conditions", [])
    held = next((c for c in conditions if c["type"] == kind), None)
    if held and (held["status"], held["reason"]) == (status, reason):
        return
    changed = now() if not held or held["status"] != status else held["lastTransitionTime"]
    thing["status"]["conditions"] = [c for c in conditions if c["type"] != kind]
    thing["status"]["conditions"].append(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastUpdateTime": now(),
            "lastTransitionTime": changed,
        }
    )
