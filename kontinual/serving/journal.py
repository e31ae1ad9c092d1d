"""What happened in a predictor: noted at once, counted and logged many at a time.

Between two answers the processor forgets what a step needs, so that each step costs several
times what it costs in a row; and an object that lives on costs the next one memory that no
cache knows. So an answer appends one tuple to a list, of little that it would not keep
anyway: of the answer itself the scores, from which it is written again, and of the matrix,
its bytes alone. Hundreds of them are then counted and logged in a row.

All of it runs in the event loop's thread; nothing here locks.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

from kontinual.model import Matrix
from kontinual.serving.eventlog import RequestLog
from kontinual.serving.fields import Note
from kontinual.serving.tally import Tally

__all__ = ["Journal", "NoJournal", "Noting"]

TOGETHER = 512  # requests
LARGE = 2**14  # bytes of a request: what waits stays small
SECONDS = 0.1  # that they wait at most, while a loop runs


class Noting(Protocol):
    """Whatever is told of requests."""

    def answered(
        self, request: bytes, matrix: Matrix, scores: Sequence[float], seconds: float | None = None
    ) -> None:
        """A request was answered. Must neither wait nor fail.

        Args:
            request: V1, in JSON: `{"instances": ...}`.
            matrix: its rows, float32 [n, F].
            scores: of the rows, [n].
            seconds: that it took, if that was measured.
        """
        ...

    def anomalies(self, notes: Sequence[Note]) -> None:
        """A request was seen with these anomalies."""
        ...

    def failed(self, status: int, seconds: float) -> None:
        """A request was refused or failed with this HTTP status, after so long."""
        ...

    def close(self) -> None:
        """Log what is left, within a few seconds."""
        ...


class NoJournal:
    """Takes note of nothing."""

    def answered(
        self, request: bytes, matrix: Matrix, scores: Sequence[float], seconds: float | None = None
    ) -> None:
        pass

    def anomalies(self, notes: Sequence[Note]) -> None:
        pass

    def failed(self, status: int, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


class Journal:
    """Counts and logs.

    Attributes:
        tally: of what is counted; read it after `settle`.
        log: of answered requests.
    """

    def __init__(self, tally: Tally, log: RequestLog) -> None:
        self.tally, self.log = tally, log
        self._waiting: list[tuple[bytes, bytes, Sequence[float], float | None]] = []
        self._settling_in: asyncio.AbstractEventLoop | None = None  # soon

    def answered(
        self, request: bytes, matrix: Matrix, scores: Sequence[float], seconds: float | None = None
    ) -> None:
        waiting = self._waiting
        waiting.append((request, matrix.tobytes(), scores, seconds))
        count = len(waiting)
        if count >= TOGETHER or len(request) > LARGE:
            self.settle()
        elif count == 1:
            self._settle_soon()

    def anomalies(self, notes: Sequence[Note]) -> None:
        self.tally.anomalies(notes)

    def failed(self, status: int, seconds: float) -> None:
        self.tally.request(status, seconds)

    def settle(self) -> None:
        """Count and log what waits."""
        if not self._waiting:
            return
        requests, matrices, scores, seconds = zip(*self._waiting, strict=True)
        self._waiting.clear()
        self.tally.rows(b"".join(matrices), chain.from_iterable(scores))
        self.tally.request(200, *[s for s in seconds if s is not None])
        self.log.add(requests, scores)

    def close(self) -> None:
        self.settle()
        self.log.close()

    def _settle_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would come back to it
            self.settle()
            return
        if loop is not self._settling_in:
            self._settling_in = loop
            loop.call_later(SECONDS, self._settle_now)

    def _settle_now(self) -> None:
        self._settling_in = None
        self.settle()
