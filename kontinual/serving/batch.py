"""Requests with their answers, gathered and sent as one CloudEvent.

A request stands in it byte for byte; parsing and writing it again would cost more than the
rest of the log.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

import orjson

from kontinual.spec import PREDICTIONS_EVENT, utc_text

__all__ = ["Batch", "EventFormat", "Exchanges"]


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Some requests with their answers, as an event has them.

    Attributes:
        count: of the requests.
        requests: their JSON, a comma between each two.
        predictions: as much of their answers; a list of scores for each.
    """

    count: int
    requests: bytes
    predictions: bytes

    @classmethod
    def of(cls, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> "Exchanges":
        """V1 requests in JSON, each with the scores that were its answer; not none."""
        return cls(len(requests), b",".join(requests), orjson.dumps(scores)[1:-1])

    @property
    def size(self) -> int:
        """Bytes in an event, each part with a comma."""
        return len(self.requests) + len(self.predictions) + 2


class Batch:
    """Requests with their answers, in order, the requests in one piece of memory.

    Thousands of small objects that live for a while would cost answers more than a copy:
    the allocator gives them new memory each time, which no cache knows. New memory costs as
    much when it is one large piece, for the system gives it page by page; so a batch may take
    over what another has done with.

    Attributes:
        number: of the first request, among all that were ever logged.
        size: of requests and answers as an event has them, in bytes.
        memory: holds the requests, and may hold more from earlier behind them.
    """

    def __init__(self, number: int, memory: BytesIO | None = None) -> None:
        """Begin an empty batch.

        Args:
            number: of the first request.
            memory: of a batch that nobody needs any more.
        """
        self.number = number
        self.size = 0
        self.memory = memory or BytesIO()
        self.memory.seek(0)
        self._count = 0
        self._predictions: list[bytes] = []

    def __len__(self) -> int:
        return self._count

    def add(self, exchanges: Exchanges) -> None:
        """Take some more; many at a time cost hardly more than one."""
        self.memory.writelines((exchanges.requests, b","))
        self._predictions.append(exchanges.predictions)
        self._count += exchanges.count
        self.size += exchanges.size

    @contextmanager
    def texts(self) -> Iterator[tuple[memoryview, bytes]]:
        """All requests and all predictions as an event has them, a comma between each two.

        Nothing can be added meanwhile.
        """
        predictions = b",".join(self._predictions)
        end = self.size - len(predictions) - 2  # the commas behind both
        with self.memory.getbuffer() as memory, memory[:end] as requests:
            yield requests, predictions

    def halves(self) -> Iterator["Batch"]:
        """The same in two batches, of two requests or more."""
        with self.texts() as texts:
            requests, scores = (orjson.loads(b"[%b]" % bytes(text)) for text in texts)
        middle = len(self) // 2
        for part in (slice(middle), slice(middle, None)):
            half = Batch(self.number + (part.start or 0))
            half.add(Exchanges.of([orjson.dumps(r) for r in requests[part]], scores[part]))
            yield half


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
        head = b'[%b,"data":{"version":%b,"requests":[' % (fixed, self._version)
        with batch.texts() as (requests, predictions):
            yield [head, requests, b'],"predictions":[', predictions, b"]}}]"]
