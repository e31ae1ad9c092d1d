"""The request log: one CloudEvent per answered request, sent to the collector behind its back.

An answer only appends to a list. A thread of its own sends what has gathered,
and tries again for as long as it takes. While the collector is away the oldest
events beyond the bounds are given up, and counted.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_when_event_set
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_random_exponential

from kontinual.spec import PREDICTION_EVENT, utc_text

__all__ = ["DROP_REASONS", "EventLog", "LogLimits", "NoEventLog", "RequestLog"]

logger = logging.getLogger(__name__)

DROP_REASONS = ("backlog", "rejected", "shutdown")
CONTENT_TYPE = "application/cloudevents-batch+json"


class LogLimits(BaseModel):
    """How much is kept and sent, and how long is waited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backlog_events: int = Field(default=50_000, ge=1)
    backlog_bytes: int = Field(default=64 * 2**20, ge=1, description="size of the requests")
    batch_events: int = Field(default=500, ge=1)
    batch_bytes: int = Field(default=4 * 2**20, ge=1)
    flush_seconds: float = Field(default=0.2, gt=0)
    retry_seconds: float = Field(default=5.0, gt=0, description="longest pause between two tries")
    timeout_seconds: float = Field(default=5.0, gt=0, description="of one try")
    close_seconds: float = Field(default=3.0, ge=0, description="to send the rest at the end")


class RequestLog(Protocol):
    """Whatever takes note of answered requests."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Events given up, by reason."""
        ...

    def add(self, instances: bytes, scores: bytes) -> None:
        """Take note of an answer, both lists as JSON; must neither wait nor fail."""
        ...

    def close(self) -> None:
        """Send what is left, within a few seconds."""
        ...


class NoEventLog:
    """Takes note of nothing."""

    def __init__(self) -> None:
        self.dropped = dict.fromkeys(DROP_REASONS, 0)

    def add(self, instances: bytes, scores: bytes) -> None:
        pass

    def close(self) -> None:
        pass


# Number, Unix time, instances, scores, size. A plain tuple of plain values: there are many, and
# Python's garbage collector need not look into those.
_Entry = tuple[int, float, bytes, bytes, int]
_ATTRIBUTES = 300  # bytes of an event beside its data, roughly


class _Unavailable(Exception):
    """The collector can not take events now."""


class EventLog:
    """Sends events to a collector. `add` and `close` may be called from any thread."""

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
        self._limits = limits or LogLimits()
        self._url = f"{collector.rstrip('/')}/api/v1/events"
        self._client = client or httpx.Client(timeout=self._limits.timeout_seconds)
        self._format = _EventFormat(model=model, version=version)
        self._waiting: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._sending: list[_Entry] = []
        self._number = 0
        self._max_bytes = self._limits.backlog_bytes
        self._max_events = self._limits.backlog_events - self._limits.batch_events
        self.dropped: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)
        self._lock = threading.Lock()
        self._closing, self._giving_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()

    def add(self, instances: bytes, scores: bytes) -> None:
        now, size = time.time(), len(instances) + len(scores) + _ATTRIBUTES
        with self._lock:
            self._number += 1
            self._waiting.append((self._number, now, instances, scores, size))
            self._waiting_bytes += size
            if self._waiting_bytes > self._max_bytes or len(self._waiting) > self._max_events:
                self._trim()

    def close(self) -> None:
        """Send what is left within `close_seconds`; the rest is counted as dropped."""
        self._closing.set()
        self._thread.join(self._limits.close_seconds)
        self._giving_up.set()
        self._thread.join(self._limits.timeout_seconds)
        self._client.close()
        with self._lock:
            left = len(self._waiting) + len(self._sending)
            self.dropped["shutdown"] += left
            self._waiting.clear()
            self._sending = []
        if left:
            logger.error("%d logged events were not delivered to %s", left, self._url)

    def _trim(self) -> None:
        """Give up the oldest that wait; those under way are not touched."""
        limits = self._limits
        while self._waiting and (
            len(self._waiting) + len(self._sending) > limits.backlog_events
            or self._waiting_bytes > limits.backlog_bytes
        ):
            self._waiting_bytes -= self._waiting.popleft()[4]
            self.dropped["backlog"] += 1

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._limits.flush_seconds):
                self._drain()
            self._drain()
        except RetryError:
            return  # what is left is counted by `close`

    def _drain(self) -> None:
        """Send all that waits, a batch at a time, each until it is taken."""
        while self._take():
            self._retrying()(self._send)

    def _take(self) -> bool:
        """Move a batch from waiting to sending; False when nothing waits."""
        limits = self._limits
        with self._lock:
            size = 0
            while self._waiting and len(self._sending) < limits.batch_events:
                size += self._waiting[0][4]
                if self._sending and size > limits.batch_bytes:
                    break
                entry = self._waiting.popleft()
                self._waiting_bytes -= entry[4]
                self._sending.append(entry)
            return bool(self._sending)

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
                "collector not reached (try %d, %d events wait): %s",
                state.attempt_number,
                len(self._waiting) + len(self._sending),
                state.outcome.exception(),
            )

    def _send(self) -> None:
        while self._sending:
            self._deliver(self._sending)

    def _deliver(self, entries: list[_Entry]) -> None:
        """Send these, or halve them until the one that is refused stands alone.

        Raises:
            _Unavailable: the collector can not take them now.
        """
        body = b"[" + b",".join(map(self._format, entries)) + b"]"
        answer = self._client.post(self._url, content=body, headers={"content-type": CONTENT_TYPE})
        if answer.status_code >= 500 or answer.status_code in {408, 425, 429}:
            raise _Unavailable(f"{self._url} answered {answer.status_code}")
        if not answer.is_success and len(entries) > 1:
            self._deliver(entries[: len(entries) // 2])
            return
        if not answer.is_success:
            text = f"{answer.status_code} {answer.text:.300s}"
            logger.error("%s refused an event: %s", self._url, text)
        with self._lock:
            self.dropped["rejected"] += 0 if answer.is_success else len(entries)
            del self._sending[: len(entries)]


class _EventFormat:
    """Writes an entry as a CloudEvent in JSON.

    The rows are those of the request, byte for byte; parsing and writing them
    again would cost more than the rest of the log.
    """

    def __init__(self, *, model: str, version: str) -> None:
        fixed = {
            "specversion": "1.0",
            "type": PREDICTION_EVENT,
            "source": f"/models/{model}/versions/{version}",
            "datacontenttype": "application/json",
        }
        start = orjson.dumps(fixed)[:-1] + b',"id":"' + uuid.uuid4().hex.encode() + b"-"
        self._template = (
            start.replace(b"%", b"%%")
            + b'%d","time":"%b","data":{"version":'
            + orjson.dumps(version).replace(b"%", b"%%")
            + b',"instances":%b,"scores":%b}}'
        )
        self._second, self._second_text = -1, b""

    def __call__(self, entry: _Entry) -> bytes:
        number, moment, instances, scores, _ = entry
        return self._template % (number, self._time(moment), instances, scores)

    def _time(self, moment: float) -> bytes:
        second = int(moment)
        if second != self._second:
            text = utc_text(datetime.fromtimestamp(second, UTC)).removesuffix("000Z")
            self._second, self._second_text = second, text.encode()
        return b"%b%03dZ" % (self._second_text, int((moment - second) * 1000))
