import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from kontinual.model import Matrix, ModelPackage
from kontinual.serving import Journal, NoEventLog, NoJournal, Tally
from kontinual.serving.journal import LARGE, SECONDS, TOGETHER


class ListLog(NoEventLog):
    """Keeps what it is told, and in how many turns."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[tuple[bytes, list[float]]] = []
        self.turns = 0
        self.closed = False

    def add(self, requests: Sequence[bytes], scores: Sequence[Sequence[float]]) -> None:
        self.turns += 1
        self.exchanges += zip(requests, map(list, scores), strict=True)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def log() -> ListLog:
    return ListLog()


@pytest.fixture
def journal(package: ModelPackage, log: ListLog) -> Journal:
    return Journal(Tally(package.reference), log)


def rows(count: int, value: float = 1.0) -> Matrix:
    return np.full((count, 5), value, np.float32)


def tell(journal: Journal, count: int) -> None:
    for n in range(count):
        journal.answered(b"%d" % n, rows(1), [n / 1000], 0.001)


def test_requests_of_a_running_loop_are_counted_and_logged_together_in_order(
    journal: Journal, log: ListLog
) -> None:
    async def answer() -> None:
        tell(journal, TOGETHER - 1)
        assert log.turns == 0
        tell(journal, 1)

    asyncio.run(answer())
    assert log.turns == 1
    assert [request for request, _ in log.exchanges[:-1]] == [
        b"%d" % n for n in range(TOGETHER - 1)
    ]
    assert log.exchanges[17] == (b"17", [0.017])
    journal.tally.fold()
    assert journal.tally.predictions == journal.tally.requests["200"] == TOGETHER


def test_no_request_waits_longer_than_it_should(journal: Journal, log: ListLog) -> None:
    async def answer() -> int:
        tell(journal, 2)
        await asyncio.sleep(SECONDS * 3)
        turns = log.turns
        tell(journal, 1)
        await asyncio.sleep(SECONDS * 3)
        return turns

    assert asyncio.run(answer()) == 1
    assert log.turns == 2
    assert len(log.exchanges) == 3


def test_a_large_request_does_not_wait(journal: Journal, log: ListLog) -> None:
    async def answer() -> None:
        tell(journal, 1)
        journal.answered(b"x" * (LARGE + 1), rows(2), [0.1, 0.2], 0.001)

    asyncio.run(answer())
    assert log.turns == 1
    assert [scores for _, scores in log.exchanges] == [[0.0], [0.1, 0.2]]


def test_without_a_loop_nothing_waits(journal: Journal, log: ListLog) -> None:
    tell(journal, 3)
    assert log.turns == 3


def test_what_waits_at_the_end_is_logged_before_the_log_closes(
    journal: Journal, log: ListLog
) -> None:
    async def answer() -> None:
        tell(journal, 5)
        journal.close()

    asyncio.run(answer())
    assert len(log.exchanges) == 5
    assert log.closed


def test_what_is_counted_is_what_was_told_though_the_matrix_is_used_again(
    journal: Journal,
) -> None:
    async def answer() -> None:
        matrix = rows(1)
        journal.answered(b"{}", matrix, [0.5], 0.001)
        matrix[:] = np.nan
        journal.settle()

    asyncio.run(answer())
    journal.tally.fold()
    assert [int(counts[-1]) for counts in journal.tally.features] == [0] * 5


def test_time_that_nobody_measured_is_not_counted(journal: Journal) -> None:
    journal.answered(b"{}", rows(1), [0.5])
    journal.answered(b"{}", rows(1), [0.5], 0.25)
    journal.failed(400, 0.5)
    journal.tally.fold()
    assert journal.tally.predictions == 2
    assert journal.tally.requests == {"200": 1, "4xx": 1, "5xx": 0}
    assert journal.tally.latency_sum == pytest.approx(0.75)


def test_a_journal_of_nothing_takes_the_same() -> None:
    nothing = NoJournal()
    nothing.answered(b"{}", rows(1), [0.5], 0.1)
    nothing.anomalies([])
    nothing.failed(500, 0.1)
    nothing.close()
