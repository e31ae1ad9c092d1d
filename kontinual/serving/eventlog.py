"""The request log: answered requests, sent to the collector behind their back.

They are put into batches. A thread of its own sends what has gathered twice a second, and
tries again for as long as it takes. While the collector is away the oldest requests beyond
the bounds are given up, and counted.

Python runs one thread at a time, so an answer waits for whatever that thread does. Hence
it does next to nothing for each request, only for each batch.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from io import BytesIO
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from kontinual.serving.batch import Batch, EventFormat, Exchanges
from kontinual.serving.post import Body, Connection, Post

__all__ = ["DROP_REASONS", "EventLog", "LogLimits", "NoEventLog", "RequestLog"]

logger = logging.getLogger(__name__)

DROP_REASONS = ("backlog", "rejected", "shutdown")
CONTENT_TYPE = "application/cloudevents-batch+json"
SPARE = 3  # as many batches gather while others are sent


class LogLimits(BaseModel):
    """How much is kept and sent, and how long is waited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backlog_requests: int = Field(default=50_000, ge=1)
    backlog_bytes: int = Field(default=64 * 2**20, ge=1)
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

    def add(self, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> None:
        """Take note of answered requests. Must neither wait nor fail.

        Args:
            requests: V1, in JSON: `{"instances": ...}`; not none.
            scores: of the rows of each.
        """
        ...

    def close(self) -> None:
        """Send what is left, within a few seconds."""
        ...


class NoEventLog:
    """Takes note of nothing."""

    def __init__(self) -> None:
        self.dropped = dict.fromkeys(DROP_REASONS, 0)

    def add(self, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> None:
        pass

    def close(self) -> None:
        pass


class _Unavailable(Exception):
    """The collector can not take events now."""


class EventLog:
    """Sends requests to a collector; any thread may call it."""

    def __init__(
        self,
        collector: str,
        *,
        model: str,
        version: str,
        limits: LogLimits | None = None,
        post: Post | None = None,
    ) -> None:
        """Start the sending thread.

        Args:
            collector: its base URL.
            model: the loop's name.
            version: the registry's number of the model.
            limits: bounds and times.
            post: another way to send (tests).

        Raises:
            ServiceError: the collector's URL is none.
        """
        limits = limits or LogLimits()
        self._limits = limits
        self._url = f"{collector.rstrip('/')}/api/v1/events"
        self._connection = Connection(
            self._url, content_type=CONTENT_TYPE, timeout_seconds=limits.timeout_seconds
        )
        self._post = post or self._connection
        self._format = EventFormat(model=model, version=version)
        # What is given up goes by the batch, so one is a small part of all that may be kept.
        self._batch_requests = min(limits.batch_requests, -(-limits.backlog_requests // 10))
        self._batch_bytes = min(limits.batch_bytes, -(-limits.backlog_bytes // 10))
        self._gathering = Batch(0)
        self._waiting: deque[Batch] = deque()
        self._sending = Batch(0)
        self._under_way = 0  # of those, neither taken nor refused yet
        self._spare: deque[BytesIO] = deque(maxlen=SPARE)  # memory of batches that were delivered
        self.dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)
        self._lock = threading.Lock()  # of what is kept; never held for long
        self._closing, self._giving_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()

    def add(self, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> None:
        with self._lock:
            self._gather(requests, scores)

    def close(self) -> None:
        """Send what is left within `close_seconds`; the rest is counted as dropped."""
        self._closing.set()
        self._thread.join(self._limits.close_seconds)
        self._giving_up.set()
        self._thread.join(self._limits.timeout_seconds)
        self._connection.close()
        left = self._undelivered()
        with self._lock:
            self._gathering = Batch(0)
            self._waiting.clear()
            self._under_way = 0
        self.dropped["shutdown"] += left
        if left:
            logger.error("%d logged requests were not delivered to %s", left, self._url)

    def _undelivered(self) -> int:
        """How many requests are kept."""
        with self._lock:
            return sum(map(len, (self._gathering, *self._waiting))) + self._under_way

    def _gather(self, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> None:
        """Put requests into batches; each batch takes all that it has room for."""
        exchanges, batch = Exchanges.of(requests, scores), self._gathering
        if (
            len(batch) + exchanges.count <= self._batch_requests
            and batch.size + exchanges.size <= self._batch_bytes
        ):
            batch.add(exchanges)
        elif exchanges.count > 1:
            middle = exchanges.count // 2
            self._gather(requests[:middle], scores[:middle])
            self._gather(requests[middle:], scores[middle:])
        else:
            self._let_wait()
            self._make_room()
            self._gathering.add(exchanges)

    def _let_wait(self) -> None:
        """Let the batch that gathered wait, and begin another."""
        batch = self._gathering
        if len(batch):
            self._waiting.append(batch)
            memory = self._spare.pop() if self._spare else None
            self._gathering = Batch(batch.number + len(batch), memory)

    def _make_room(self) -> None:
        """Give up the oldest that wait until one more batch has room."""
        while len(self._waiting) > 1:
            kept = [*self._waiting, self._sending]
            requests, size = sum(map(len, kept)), sum(b.size for b in kept)
            if (
                requests + self._batch_requests <= self._limits.backlog_requests
                and size + self._batch_bytes <= self._limits.backlog_bytes
            ):
                return
            self.dropped["backlog"] += len(self._waiting.popleft())

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._limits.flush_seconds):
                self._drain()
            self._drain()
        except RetryError:
            return  # what is left is counted by `close`

    def _drain(self) -> None:
        """Send all that was logged by now, and whole batches that come meanwhile."""
        with self._lock:
            self._let_wait()
        while batch := self._take():
            self._deliver(batch)
            with self._lock:
                self._sending = Batch(0)
                self._spare.append(batch.memory)

    def _take(self) -> Batch | None:
        """The oldest batch that waits, now under way."""
        with self._lock:
            if not self._waiting:
                return None
            self._sending = self._waiting.popleft()
            self._under_way = len(self._sending)
        return self._sending

    def _deliver(self, batch: Batch) -> None:
        """Send a batch until it is taken; halve it if it is refused.

        Raises:
            RetryError: the log closes, and the collector does not take it.
        """
        with self._format(batch, time.time()) as body:
            refusal = self._retrying()(self._send, body)
        if refusal and len(batch) > 1:
            for half in batch.halves():
                self._deliver(half)
            return
        if refusal:
            logger.error("%s refused a request: %s", self._url, refusal)
            self.dropped["rejected"] += len(batch)
        self._under_way -= len(batch)

    def _send(self, body: Body) -> str:
        """Send an event; returns why it was refused, or nothing.

        Raises:
            _Unavailable: the collector can not take it now.
            OSError, HTTPException: it can not be reached.
        """
        status, answer = self._post(body)
        if status >= 500 or status in {408, 425, 429}:
            raise _Unavailable(f"{self._url} answered {status}")
        return "" if status < 300 else f"{status} {answer}"

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type((_Unavailable, OSError, HTTPException)),
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
                self._undelivered(),
                state.outcome.exception(),
            )
