"""Requests with their answers, gathered to be sent as one CloudEvent.

Both stand in it byte for byte; parsing and writing them again would cost more than the
rest of the log.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from kontinual.spec import PREDICTIONS_EVENT, utc_text

__all__ = ["Batch", "EventFormat"]

_REQUEST, _ANSWER, _END = b'{"request":', b',"answer":', b"},"
_OVERHEAD = 200  # bytes that a batch takes beside its text, roughly


class Batch:
    """Answered requests in order, as JSON: a list without its brackets, each with a comma.

    What is added is copied. That is cheaper than keeping it: the memory of one
    request then serves the next one, while it is still in the processor's cache.
    """

    __slots__ = ("count", "moment", "number", "text")

    def __init__(self, number: int, *, moment: float = 0.0) -> None:
        """Begin with nothing; `number` is that of the first request, `moment` Unix time."""
        self.number, self.moment = number, moment
        self.count, self.text = 0, bytearray()

    def __len__(self) -> int:
        return self.count

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.text) + _OVERHEAD

    def add(self, request: bytes, answer: bytes) -> tuple[int, int]:
        """Append a request and its answer, both JSON; returns how many, and bytes, there are."""
        text = self.text
        text += _REQUEST
        text += request
        text += _ANSWER
        text += answer
        text += _END
        self.count += 1
        return self.count, len(text)

    @property
    def listed(self) -> bytes:
        """The JSON of the list."""
        return b"".join((b"[", memoryview(self.text)[:-1], b"]"))

    def halves(self) -> Iterator["Batch"]:
        """The same in two batches."""
        exchanges = orjson.loads(self.listed)
        middle = self.count // 2
        for start, end in ((0, middle), (middle, self.count)):
            half = Batch(self.number + start, moment=self.moment)
            for exchange in exchanges[start:end]:
                half.add(orjson.dumps(exchange["request"]), orjson.dumps(exchange["answer"]))
            yield half


class EventFormat:
    """Writes a batch as a CloudEvent, alone in a list; the same bytes each time."""

    def __init__(self, *, model: str, version: str) -> None:
        self._process, self._version = uuid.uuid4().hex, orjson.dumps(version)
        self._fixed = {
            "specversion": "1.0",
            "type": PREDICTIONS_EVENT,
            "source": f"/models/{model}/versions/{version}",
            "datacontenttype": "application/json",
        }

    def __call__(self, batch: Batch) -> bytes:
        own = {
            "id": f"{self._process}-{batch.number}-{len(batch)}",
            "time": utc_text(datetime.fromtimestamp(batch.moment, UTC)),
        }
        start = orjson.dumps(self._fixed | own).removesuffix(b"}")
        start += b',"data":{"version":' + self._version + b',"exchanges":'
        return b"".join((b"[", start, batch.listed, b"}}]"))
