"""Asking and steering the trigger service, from a command line or a program."""

import time
from collections.abc import Callable
from typing import Any, Self

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from kontinual.errors import ServiceError

__all__ = ["LostSight", "TriggerBroken", "TriggerClient", "TriggerUnreachable"]

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.25
QUESTIONS = 12
"""How often a question is asked until a service is given up: for about a minute."""
MOST_SECONDS = 10.0  # between two of them
Seen = Callable[[dict[str, Any]], None]


class TriggerUnreachable(ServiceError):
    """Nobody answers there. Distinct from a refusal."""


class TriggerBroken(ServiceError):
    """The service answers that it can not (5xx), as when its ledger is away."""


class LostSight(ServiceError):
    """What is followed goes on, but the service has not answered for a while."""


class TriggerClient:
    """A client of one trigger service; a context manager that closes its connections.

    Every method raises ServiceError when the service can not be reached, or refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        by: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set up a client; nothing is asked yet.

        Args:
            url: of the service.
            token: bearer token.
            by: the person who acts; stands in the ledger beside the credential's name.
            transport: of the requests.
            sleep: waits between two questions.
        """
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._by = {} if by is None else {"by": by}
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            transport=transport,
        )
        self._sleep = sleep

    def serving(self, loop: str) -> Self:
        """This client, if the service serves that loop.

        Raises:
            TriggerUnreachable: nobody answers; the client is closed.
            ServiceError: it serves another loop; the client is closed.
        """
        try:
            served = self.status()["loop"]
            if served != loop:
                raise ServiceError(
                    f"the trigger service at {self.url} serves the loop {served!r}, "
                    f"not {loop!r}: set KONTINUAL_TRIGGER to the right one"
                )
        except ServiceError:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ask(self, reason: str, *, wait_seconds: float = 30.0, **wish: Any) -> dict[str, Any]:
        """Ask for a run; the trigger with its first decision.

        Args:
            reason: why, in words; it stays in the ledger.
            wait_seconds: how long to wait for the decision. After that the trigger comes
                back as it is, with the rule `not_examined`.
            wish: what is asked beside a retraining as usual: `source`, `seed`, `run`,
                `past_policy`, `process`.
        """
        return self._decided(self._act("triggers", reason, **wish), wait_seconds)

    def roll_back(
        self, reason: str, *, version: str | None = None, wait_seconds: float = 30.0
    ) -> dict[str, Any]:
        """Ask to make an earlier version champion; the trigger with its first decision."""
        wish = {} if version is None else {"version": version}
        return self._decided(self._act("rollbacks", reason, **wish), wait_seconds)

    def approve(self, trigger: int, reason: str) -> dict[str, Any]:
        return self._act(f"triggers/{trigger}/approve", reason)

    def reject(self, trigger: int, reason: str) -> dict[str, Any]:
        return self._act(f"triggers/{trigger}/reject", reason)

    def withdraw(self, trigger: int, reason: str) -> dict[str, Any]:
        return self._act(f"triggers/{trigger}/withdraw", reason)

    def stop(self, run: str, reason: str) -> dict[str, Any]:
        """Ask a run to end."""
        return self._act(f"runs/{run}/stop", reason)

    def pause(
        self, reason: str, *, everywhere: bool = False, stop_runs: bool = False
    ) -> dict[str, Any]:
        """Let nothing start any more."""
        return self._act("pause", reason, all=everywhere, stop_runs=stop_runs)

    def resume(self, reason: str, *, everywhere: bool = False) -> dict[str, Any]:
        """Let the policy start runs again."""
        return self._act("resume", reason, all=everywhere)

    def close_circuit(self, reason: str) -> dict[str, Any]:
        """Let runs be started again after too many have failed."""
        return self._act("circuit/close", reason)

    def status(self) -> dict[str, Any]:
        """The loop's status: its champion, the run in progress, who paused it."""
        return self._call("GET", "status")

    def trigger(self, number: int) -> dict[str, Any]:
        return self._call("GET", f"triggers/{number}")

    def run(self, run: str) -> dict[str, Any]:
        return self._call("GET", f"runs/{run}")

    def wait(self, run: str, *, seen: Seen = lambda _: None) -> dict[str, Any]:
        """The run, once it has ended.

        Args:
            run: its id.
            seen: shown the run each time it was asked for.

        Raises:
            LostSight: the service has not answered for about a minute.
        """
        return self._follow(
            f"run {run}", lambda: self.run(run), lambda found: found["state"] == "ended", seen
        )

    def settled(self, trigger: int, *, seen: Seen = lambda _: None) -> dict[str, Any]:
        """The trigger, once it is held no more. Arguments and errors as of `wait`."""
        return self._follow(
            f"trigger {trigger}",
            lambda: self.trigger(trigger),
            lambda found: found["decision"] != "hold",
            seen,
        )

    def _follow(
        self,
        what: str,
        ask: Callable[[], dict[str, Any]],
        done: Callable[[dict[str, Any]], bool],
        seen: Seen,
    ) -> dict[str, Any]:
        patiently = Retrying(
            retry=retry_if_exception_type((TriggerUnreachable, TriggerBroken)),
            wait=wait_exponential(multiplier=POLL_SECONDS, max=MOST_SECONDS),
            stop=stop_after_attempt(QUESTIONS),
            sleep=self._sleep,
            reraise=True,
        )
        while True:
            try:
                found = patiently(ask)
            except (TriggerUnreachable, TriggerBroken) as exc:
                raise LostSight(f"{what} goes on, but can not be followed: {exc}") from exc
            seen(found)
            if done(found):
                return found
            self._sleep(4 * POLL_SECONDS)

    def _decided(self, trigger: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + wait_seconds
        while trigger["rule"] == "not_examined" and time.monotonic() < deadline:
            self._sleep(POLL_SECONDS)
            trigger = self.trigger(trigger["id"])
        return trigger

    def _act(self, path: str, reason: str, **more: Any) -> dict[str, Any]:
        return self._call("POST", path, {"reason": reason, **self._by, **more})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, f"/api/v1/{path}", json=body)
        except httpx.HTTPError as exc:
            raise TriggerUnreachable(
                f"the trigger service at {self.url} can not be reached: {exc}; "
                "is it up (`kontinual status`), and is KONTINUAL_TRIGGER right?"
            ) from exc
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ServiceError(
                f"the trigger service at {self.url} wants another token: set KONTINUAL_TOKEN"
            )
        if answer.is_error:
            error = TriggerBroken if answer.is_server_error else ServiceError
            raise error(
                f"the trigger service at {self.url} refuses ({answer.status_code}): "
                f"{_detail(answer)}"
            )
        told: dict[str, Any] = answer.json()
        return told


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
