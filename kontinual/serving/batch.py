"""Requests with their answers, gathered and sent as one CloudEvent.

Both stand in it byte for byte; parsing and writing them again would cost more than the
rest of the log.
"""

import uuid
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO

import orjson

from kontinual.spec import PREDICTIONS_EVENT, utc_text

__all__ = ["Batch", "EventFormat"]


class Batch:
    """Requests with their answers, in order, in one piece of memory.

    Thousands of small objects that live for a while would cost answers more than a copy:
    the allocator gives them new memory each time, which no cache knows. New memory costs as
    much when it is one large piece, for the system gives it page by page; so a batch may take
    over what another has done with.

    Attributes:
        number: of the first request, among all that were ever logged.
        ends: of each in the text, in bytes.
        size: of the text, in bytes.
        memory: holds the text, and may hold more from earlier behind it.
    """

    def __init__(self, number: int, memory: BytesIO | None = None) -> None:
        """Begin an empty batch.

        Args:
            number: of the first request.
            memory: of a batch that nobody needs any more.
        """
        self.number = number
        self.ends = array("Q")
        self.size = 0
        self.memory = memory or BytesIO()
        self.memory.seek(0)

    def __len__(self) -> int:
        return len(self.ends)

    def add(self, request: bytes, answer: bytes) -> None:
        """Take a request and its answer, both JSON."""
        self.size += self.memory.write(b'{"request":%b,"answer":%b},' % (request, answer))
        self.ends.append(self.size)

    @contextmanager
    def text(self) -> Iterator[memoryview]:
        """All of them as an event has them, a comma between each two.

        Nothing can be added meanwhile.
        """
        with self.memory.getbuffer() as memory, memory[: self.size - 1] as text:
            yield text

    def halves(self) -> Iterator["Batch"]:
        """The same in two batches."""
        middle = len(self) // 2
        split = self.ends[middle - 1]
        first, second = Batch(self.number), Batch(self.number + middle)
        with self.memory.getbuffer() as memory:
            first.memory.write(memory[:split])
            second.memory.write(memory[split : self.size])
        first.ends, first.size = self.ends[:middle], split
        second.ends = array("Q", [end - split for end in self.ends[middle:]])
        second.size = self.size - split
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

    @contextmanager
    def __call__(self, batch: Batch, moment: float) -> Iterator[list[bytes | memoryview]]:
        """The event's bytes, in pieces; nothing can be added to the batch meanwhile.

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
        with batch.text() as text:
            yield [head, text, b"]}}]"]
