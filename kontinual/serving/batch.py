"""Requests with their answers, gathered and sent as one CloudEvent.

Both stand in it byte for byte; parsing and writing them again would cost more than the
rest of the log.
"""

import uuid
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from kontinual.spec import PREDICTIONS_EVENT, utc_text

__all__ = ["Batch", "EventFormat"]


class Batch:
    """Requests with their answers, in order, in one piece of memory.

    Thousands of small objects that live for a while would cost answers more than a copy:
    the allocator gives them new memory each time, which no cache knows.

    Attributes:
        number: of the first request, among all that were ever logged.
        text: all of them as an event has them, each with a comma behind it.
        ends: of each in the text.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.text = bytearray()
        self.ends = array("Q")

    def __len__(self) -> int:
        return len(self.ends)

    def add(self, request: bytes, answer: bytes) -> None:
        """Take a request and its answer, both JSON."""
        self.text += b'{"request":%b,"answer":%b},' % (request, answer)
        self.ends.append(len(self.text))

    def halves(self) -> Iterator["Batch"]:
        """The same in two batches."""
        middle = len(self) // 2
        split = self.ends[middle - 1]
        first, second = Batch(self.number), Batch(self.number + middle)
        first.text, first.ends = self.text[:split], self.ends[:middle]
        second.text = self.text[split:]
        second.ends = array("Q", [end - split for end in self.ends[middle:]])
        yield from (first, second)


class EventFormat:
    """Writes a batch as a CloudEvent, alone in a list."""

    def __init__(self, *, model: str, version: str) -> None:
        self._process, self._version = uuid.uuid4().hex, orjson.dumps(version)
        self._fixed = {
            "specversion": "1.0",
            "type": PREDICTIONS_EVENT,
            "source": f"/models/{model}/versions/{version}",
            "datacontenttype": "application/json",
        }

    def __call__(self, batch: Batch, moment: float) -> bytes:
        """The event's bytes.

        Args:
            batch: at least one request.
            moment: the event's Unix time.
        """
        own = {
            "id": f"{self._process}-{batch.number}-{len(batch)}",
            "time": utc_text(datetime.fromtimestamp(moment, UTC)),
        }
        fixed = orjson.dumps(self._fixed | own).removesuffix(b"}")
        head = b'[%b,"data":{"version":%b,"exchanges":[' % (fixed, self._version)
        return b"".join((head, memoryview(batch.text)[:-1], b"]}}]"))
