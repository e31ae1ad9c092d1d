"""Asking the trigger service for a run, from a command line or a program."""

import time
from collections.abc import Callable
from typing import Any, Self

import httpx

from kontinual.errors import ServiceError

__all__ = ["TriggerClient"]

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.25


class TriggerClient:
    """A client of one trigger service; a context manager that closes its connections."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, transport=transport
        )
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, reason: str, *, wait_seconds: float = 30.0) -> dict[str, Any]:
        """Ask for a run; the trigger with its first decision.

        Args:
            reason: why, in words; it stays in the ledger.
            wait_seconds: how long to wait for the decision. After that the trigger comes
                back as it is, with the rule `not_examined`.

        Raises:
            ServiceError: the service can not be reached, or refuses.
        """
        trigger = self._call("POST", "/api/v1/triggers", {"source": "manual", "reason": reason})
        deadline = time.monotonic() + wait_seconds
        while trigger["rule"] == "not_examined" and time.monotonic() < deadline:
            self._sleep(POLL_SECONDS)
            trigger = self._call("GET", f"/api/v1/triggers/{trigger['id']}")
        return trigger

    def status(self) -> dict[str, Any]:
        """The loop's status: its champion and the run in progress."""
        return self._call("GET", "/api/v1/status")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as exc:
            raise ServiceError(
                f"the trigger service at {self.url} can not be reached: {exc}; "
                "is it up (`kontinual status`), and is KONTINUAL_TRIGGER right?"
            ) from exc
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ServiceError(
                f"the trigger service at {self.url} wants another token: set KONTINUAL_TOKEN"
            )
        if answer.is_error:
            raise ServiceError(
                f"the trigger service at {self.url} answered {answer.status_code}: {answer.text}"
            )
        told: dict[str, Any] = answer.json()
        return told
