"""Waiting until a service answers, and saying why when it does not."""

from collections.abc import Callable
from pathlib import Path

import httpx
import tenacity

from kontinual.errors import ServiceError

__all__ = ["answers", "last_lines", "tail", "wait_ready"]

POLL_SECONDS = 0.1


def answers(url: str, *, timeout_seconds: float = 2.0) -> bool:
    """Does a health URL answer with 200?"""
    try:
        return httpx.get(url, timeout=timeout_seconds, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_ready(
    name: str, url: str, *, log: Path, failure: Callable[[], str | None], seconds: float
) -> None:
    """Wait until a service is ready.

    Args:
        name: of the service, for messages.
        url: answers 200 when it is ready.
        log: its log file, quoted when it does not come up.
        failure: says why waiting is in vain, or None while there is hope.
        seconds: how long to wait at most.

    Raises:
        ServiceError: it did not become ready.
    """

    def attempt() -> bool:
        if reason := failure():
            raise ServiceError(f"{name} did not come up: {reason}{last_lines(log)}")
        return answers(url)

    try:
        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda ready: not ready),
            wait=tenacity.wait_fixed(POLL_SECONDS),
            stop=tenacity.stop_after_delay(seconds),
        )(attempt)
    except tenacity.RetryError as exc:
        raise ServiceError(
            f"{name} did not become ready within {seconds:g} s ({url}){last_lines(log)}"
        ) from exc


def last_lines(log: Path, *, count: int = 15) -> str:
    """The end of a log file as a paragraph that follows an error message."""
    lines = tail(log, count=count)
    if not lines:
        return f"; its log {log} is empty"
    return f"; the last lines of {log}:\n" + "\n".join(f"  {line}" for line in lines)


def tail(log: Path, *, count: int) -> list[str]:
    """The last lines of a log file; none when there is no such file yet."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
