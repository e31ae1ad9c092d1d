"""Is a predictor ready, and if not, why; waiting until it is."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from kontinual.errors import GatewayError

__all__ = ["condition", "is_true", "load_failure", "pod_trouble", "wait_until"]

Json = dict[str, Any]
POLL_SECONDS = 2.0
_FAILED = {"BlockedByFailedLoad", "InvalidSpec"}
# KServe takes these, at its own predictor, for a model that can not be loaded.
_CRASHED = "CrashLoopBackOff"


def wait_until(
    missing: Callable[[], str | None],
    *,
    what: str,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until nothing is missing.

    Args:
        missing: what is still missing, or None; raises when there is nothing to wait for.
        what: begins the error's message, such as `version 3 is not deployed`.
        seconds: to wait.
        clock: seconds that only rise.
        sleep: waits between two looks.

    Raises:
        GatewayError: something is missing still; says what.
    """
    end = clock() + seconds
    while (lacking := missing()) is not None:
        if clock() >= end:
            raise GatewayError(f"{what} after {seconds:.0f} s: {lacking}")
        sleep(POLL_SECONDS)


def condition(found: Json, kind: str) -> Json:
    """A condition of an object's status; empty when it has none of this kind."""
    conditions: list[Json] = (found.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def is_true(found: Json, kind: str) -> bool:
    """Does an object have this condition, and is it met?"""
    return condition(found, kind).get("status") == "True"


def load_failure(model_status: Json | None) -> str | None:
    """Why a model will not be loaded, by KServe's modelStatus; None while it may be."""
    status = model_status or {}
    if status.get("transitionStatus") not in _FAILED:
        return None
    info = status.get("lastFailureInfo") or {}
    said = ": ".join(str(info[k]) for k in ("reason", "message") if info.get(k))
    return f"{status['transitionStatus']}{f' ({said})' if said else ''}"


def pod_trouble(pods: Iterable[Json]) -> tuple[str, bool]:
    """What keeps pods from being ready, and whether it is a model that crashes when loaded."""
    told, crashed = [], False
    for pod in pods:
        status = pod.get("status") or {}
        containers = [
            *(status.get("initContainerStatuses") or []),
            *(status.get("containerStatuses") or []),
        ]
        for container in containers:
            waiting = (container.get("state") or {}).get("waiting")
            if waiting and waiting.get("reason") not in {"PodInitializing", "ContainerCreating"}:
                last = ((container.get("lastState") or {}).get("terminated") or {}).get("message")
                said = last or waiting.get("message") or ""
                told.append(f"{pod['metadata']['name']}: {waiting.get('reason')} {said}".strip())
                crashed = crashed or waiting.get("reason") == _CRASHED
        unscheduled = condition(pod, "PodScheduled")
        if unscheduled.get("status") == "False":
            told.append(f"{pod['metadata']['name']}: {unscheduled.get('message', 'unscheduled')}")
    return "; ".join(told[:3]), crashed
