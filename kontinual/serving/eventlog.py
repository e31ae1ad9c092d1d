"""The request log: answered requests, sent to the collector behind their back.

An answer only adds itself to a batch. A thread of its own sends what has gathered
twice a second, and tries again for as long as it takes. While the collector is
away the oldest batches beyond the bounds are given up, and their requests counted.

Python runs one thread at a time, so an answer waits for whatever that thread does. Hence
it does nothing for each request, only for each batch.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from kontinual.serving.batch import Batch, EventFormat

__all__ = ["DROP_REASONS", "EventLog", "LogLimits", "NoEventLog", "RequestLog"]

logger = logging.getLogger(__name__)

DROP_REASONS = ("backlog", "rejected", "shutdown")
CONTENT_TYPE = "application/cloudevents-batch+json"


class LogLimits(BaseModel):
    """How much is kept and sent, and how long is waited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backlog_requests: int = Field(default=50_000, ge=1)
    backlog_bytes: int = Field(default=64 * 2**20, ge=1, description="of requests and answers")
    batch_requests: int = Field(default=8000, ge=1)
    batch_bytes: int = Field(default=4 * 2**20, ge=1)
    flush_seconds: float = Field(default=0.5, gt=0)
    retry_seconds: float = Field(default=5.0, gt=0, description="longest pause between two tries")
    timeout_seconds: float = Field(default=5.0, gt=0, description="of one try")
    close_seconds: float = Field(default=3.0, ge=0, description="to send the rest at the end")


class RequestLog(Protocol):
    """Whatever takes note of answered requests."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Requests given up, by reason."""
        ...

    def add(self, request: bytes, answer: bytes) -> None:
        """Take note of a V1 request `{"instances": ...}` and its answer `{"predictions": ...}`.

        Both are JSON. Must neither wait nor fail.
        """
        ...

    def close(self) -> None:
        """Send what is left, within a few seconds."""
        ...


class NoEventLog:
    """Takes note of nothing."""

    def __init__(self) -> None:
        self.dropped = dict.fromkeys(DROP_REASONS, 0)

    def add(self, request: bytes, answer: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _Unavailable(Exception):
    """The collector can not take events now."""


class EventLog:
    """Sends requests to a collector. `add` and `close` may be called from any thread."""

    def __init__(
        self,
        collector: str,
        *,
        model: str,
        version: str,
        limits: LogLimits | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        """Start the sending thread.

        Args:
            collector: its base URL.
            model: the loop's name.
            version: the registry's number of the model.
            limits: bounds and times.
            client: another HTTP client (tests); closed with the log.
        """
        limits = limits or LogLimits()
        self._limits = limits
        self._url = f"{collector.rstrip('/')}/api/v1/events"
        self._client = client or httpx.Client(timeout=limits.timeout_seconds)
        self._format = EventFormat(model=model, version=version)
        # What is given up is whole batches, so they are small beside the bounds.
        self._batch_requests = min(limits.batch_requests, -(-limits.backlog_requests // 10))
        self._batch_bytes = min(limits.batch_bytes, limits.backlog_bytes // 10)
        self._open = Batch(1)
        self._waiting: deque[Batch] = deque()
        self._kept_requests = self._kept_bytes = 0  # of those that wait or are under way
        self.dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)
        self._lock = threading.Lock()
        self._closing, self._giving_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()

    def add(self, request: bytes, answer: bytes) -> None:
        with self._lock:
            count, size = self._open.add(request, answer)
            if count >= self._batch_requests or size >= self._batch_bytes:
                self._seal()

    def close(self) -> None:
        """Send what is left within `close_seconds`; the rest is counted as dropped."""
        self._closing.set()
        self._thread.join(self._limits.close_seconds)
        self._giving_up.set()
        self._thread.join(self._limits.timeout_seconds)
        self._client.close()
        with self._lock:
            left = self._kept_requests + len(self._open)
            self.dropped["shutdown"] += left
            self._open, self._kept_requests = Batch(0), 0
            self._waiting.clear()
        if left:
            logger.error("%d logged requests were not delivered to %s", left, self._url)

    def _seal(self) -> None:
        """Let the open batch wait, and begin another; give up the oldest beyond the bounds."""
        batch, self._open = self._open, Batch(self._open.number + len(self._open))
        batch.moment = time.time()
        self._waiting.append(batch)
        self._kept_requests += len(batch)
        self._kept_bytes += batch.size
        limits = self._limits
        while self._waiting and (
            self._kept_requests > limits.backlog_requests or self._kept_bytes > limits.backlog_bytes
        ):
            oldest = self._waiting.popleft()
            self._kept_requests -= len(oldest)
            self._kept_bytes -= oldest.size
            self.dropped["backlog"] += len(oldest)

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._limits.flush_seconds):
                self._drain()
            self._drain()
        except RetryError:
            return  # what is left is counted by `close`

    def _drain(self) -> None:
        """Send all batches, and the open one; what comes meanwhile gathers for the next time."""
        with self._lock:
            if self._open:
                self._seal()
        while batch := self._take():
            self._deliver(batch)
            with self._lock:
                self._kept_bytes -= batch.size

    def _take(self) -> Batch | None:
        """The oldest batch that waits; it still counts as kept."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _deliver(self, batch: Batch) -> None:
        """Send a batch until it is taken, or halve it until what is refused stands alone.

        Raises:
            RetryError: the log closes, and the collector does not take it.
        """
        refusal = self._retrying()(self._post, self._format(batch))
        if refusal and len(batch) > 1:
            for half in batch.halves():
                self._deliver(half)
            return
        if refusal:
            logger.error("%s refused a request: %s", self._url, refusal)
        with self._lock:
            self.dropped["rejected"] += len(batch) if refusal else 0
            self._kept_requests -= len(batch)

    def _post(self, body: bytes) -> str:
        """Send an event; returns why it was refused, or nothing.

        Raises:
            _Unavailable: the collector can not take it now.
            httpx.HTTPError: it can not be reached.
        """
        answer = self._client.post(self._url, content=body, headers={"content-type": CONTENT_TYPE})
        if answer.status_code >= 500 or answer.status_code in {408, 425, 429}:
            raise _Unavailable(f"{self._url} answered {answer.status_code}")
        return "" if answer.is_success else f"{answer.status_code} {answer.text:.300s}"

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type((_Unavailable, httpx.HTTPError)),
            wait=wait_random_exponential(multiplier=0.1, max=self._limits.retry_seconds),
            stop=stop_when_event_set(self._giving_up),
            sleep=self._pause,
            before_sleep=self._complain,
        )

    def _pause(self, seconds: float) -> None:
        # A closing log tries more often, for it has little time left.
        shortest = 0.2 if self._closing.is_set() else seconds
        sleep_using_event(self._giving_up)(min(seconds, shortest))

    def _complain(self, state: Any) -> None:
        if state.attempt_number in {1, 10, 100} or state.attempt_number % 1000 == 0:
            logger.warning(
                "collector not reached (try %d, %d requests wait): %s",
                state.attempt_number,
                self._kept_requests + len(self._open),
                state.outcome.exception(),
            )
