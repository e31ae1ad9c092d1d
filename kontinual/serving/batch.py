"""Requests with their answers, sent as one CloudEvent.

Both stand in it byte for byte; parsing and writing them again would cost more than the
rest of the log.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from kontinual.spec import PREDICTIONS_EVENT, utc_text

__all__ = ["Batch", "EventFormat", "Exchange"]

Exchange = tuple[bytes, bytes]
"""A request and its answer, both JSON."""


@dataclass(frozen=True)
class Batch:
    """Answered requests in order; `number` is the first one's, `moment` a Unix time."""

    number: int
    moment: float
    exchanges: list[Exchange]

    def __len__(self) -> int:
        return len(self.exchanges)

    def halves(self) -> Iterator["Batch"]:
        """The same in two batches."""
        middle = len(self) // 2
        yield Batch(self.number, self.moment, self.exchanges[:middle])
        yield Batch(self.number + middle, self.moment, self.exchanges[middle:])


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
        fixed = orjson.dumps(self._fixed | own).removesuffix(b"}")
        # All in C, and each byte copied once: a line of Python for each request would take
        # the interpreter from answers.
        texts = [b'},{"request":', b"", b',"answer":', b""] * len(batch)
        texts[1::4], texts[3::4] = zip(*batch.exchanges, strict=True)
        texts[0] = b'[%b,"data":{"version":%b,"exchanges":[{"request":' % (fixed, self._version)
        texts.append(b"}]}}]")
        return b"".join(texts)
