from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.spec import Schedule
from kontinual.trigger import Ledger, Policy, Source, Worker
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.schedule import last_due

START = datetime(2026, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("0 3 * * *", (5, 3, 0, 0), (5, 3, 0)),
        ("0 3 * * *", (5, 3, 0, 59), (5, 3, 0)),
        ("0 3 * * *", (6, 2, 59, 59), (5, 3, 0)),
        ("*/20 * * * *", (5, 7, 59, 0), (5, 7, 40)),
        ("5/20 * * * *", (5, 7, 59, 0), (5, 7, 45)),
        ("10-12,40 8-10/2 * * *", (5, 9, 30, 0), (5, 8, 40)),
        ("0 12 * * 1-5", (9, 13, 0, 0), (9, 12, 0)),  # a Friday
        ("0 12 * * 0", (11, 12, 30, 0), (11, 12, 0)),  # a Sunday
        ("0 12 13 * 5", (9, 12, 30, 0), (9, 12, 0)),  # the 13th, or any Friday
        ("0 12 13 * *", (9, 12, 30, 0), None),
        ("0 12 * 2 *", (9, 12, 30, 0), None),
    ],
)
def test_the_last_moment_of_a_cron(
    cron: str, now: tuple[int, ...], due: tuple[int, ...] | None
) -> None:
    found = last_due(
        Schedule(cron=cron),
        after=MONDAY - timedelta(days=9),
        now=datetime(2026, 1, *now, tzinfo=UTC),
    )
    assert found == (None if due is None else datetime(2026, 1, *due, tzinfo=UTC))


@given(now=MOMENTS, hours=st.integers(1, 1000), speedup=st.sampled_from([1.0, 7.0, 5000.0]))
def test_a_moment_of_an_interval_comes_once_and_replicas_agree_on_it(
    now: datetime, hours: int, speedup: float
) -> None:
    schedule = Schedule(every=timedelta(hours=hours))
    length = timedelta(hours=hours) / speedup
    moment = last_due(schedule, after=now - 2 * length, now=now, speedup=speedup)
    assert moment is not None
    assert now - length < moment <= now
    assert last_due(schedule, after=moment, now=now, speedup=speedup) is None
    later = now + length / 7
    assert last_due(schedule, after=now - length, now=later, speedup=speedup) >= moment


def test_a_paused_schedule_has_no_moments() -> None:
    schedule = Schedule(every=timedelta(hours=1), paused=True)
    assert last_due(schedule, after=MONDAY, now=MONDAY + timedelta(days=9)) is None


@pytest.fixture
def restarted(ledger: Ledger, loop, evidence, launcher, clock) -> Callable[[], Worker]:
    def restart() -> Worker:
        return Worker(
            ledger,
            Policy(loop),
            evidence=evidence,
            launcher=launcher,
            metrics=TriggerMetrics("toy"),
            schedule=Schedule(every=timedelta(hours=6)),
            clock=clock,
            name="always the same",
        )

    return restart


def test_the_schedule_asks_once_for_each_moment_whatever_restarts(
    restarted: Callable[[], Worker], ledger: Ledger, evidence, clock
) -> None:
    evidence.change(matured_rows=0)
    worker = restarted()
    worker.step()
    assert ledger.triggers() == [], "a service that starts does not ask by that"
    for _ in range(3):
        clock.advance(hours=5)
        worker.step()
        worker = restarted()
        worker.step()
    told = [(t.source, t.starts_at.hour) for t in ledger.triggers()]
    assert told == [(Source.SCHEDULE, 6), (Source.SCHEDULE, 12)]
    assert ledger.trigger(1).decision.rule == "enough_labels", "judged like any other"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_ahead_once_holds_no_later_moment_back(
    restarted: Callable[[], Worker], ledger: Ledger, evidence, clock, *, restarts: bool
) -> None:
    evidence.change(matured_rows=0)
    worker = restarted()
    worker.step()
    clock.advance(days=3650)
    worker.step()
    clock.advance(days=-3650)
    worker = restarted() if restarts else worker
    for _ in range(4):
        worker.step()
        clock.advance(hours=3)
    worker.step()
    hours = [(t.starts_at - START) / timedelta(hours=1) for t in ledger.triggers()]
    assert hours == [3650 * 24, 6, 12]


def test_a_clock_that_steps_back_a_little_asks_for_no_moment_twice(
    restarted: Callable[[], Worker], ledger: Ledger, evidence, clock
) -> None:
    evidence.change(matured_rows=0)
    worker = restarted()
    worker.step()
    for _ in range(3):
        clock.advance(hours=6)
        worker.step()
        clock.advance(seconds=-2)
        worker.step()
        clock.advance(seconds=2)
        worker.step()
    assert [t.starts_at.hour for t in ledger.triggers()] == [6, 12, 18]
