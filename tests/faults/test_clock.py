"""A clock that steps back, as when a machine gets the right time: nothing waits for the old one."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.spec import Outcome, parse_loop
from kontinual.trigger import Answer, Control, Ledger, Policy, Worker
from kontinual.trigger.metrics import TriggerMetrics
from tests.unit.trigger.conftest import LOOP, FakeClock, FakeEvidence, FakeLauncher, make_ask


class World:
    """A ledger whose clock is told the time, and workers on other machines."""

    def __init__(self) -> None:
        self.clock, self.evidence, self.launcher = FakeClock(), FakeEvidence(), FakeLauncher()
        self.ledger = Ledger("sqlite://", "toy", clock=self.clock)

    def worker(self, name: str) -> Worker:
        return Worker(
            self.ledger,
            Policy(parse_loop(LOOP)),
            evidence=self.evidence,
            launcher=self.launcher,
            metrics=TriggerMetrics("toy"),
            clock=self.clock,
            name=f"elsewhere/{name}/0",
        )


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.ledger.close()


def test_the_lease_of_a_dead_replica_ends_although_the_clock_steps_back(world: World) -> None:
    world.worker("dead").step()
    world.clock.advance(days=-1)
    successor = world.worker("next")
    for _ in range(4):
        successor.step()
        world.clock.advance(seconds=20)
    assert successor.leads


def test_a_replica_keeps_its_lease_when_the_clock_steps_back(world: World) -> None:
    first, second = world.worker("a"), world.worker("b")
    first.step()
    world.clock.advance(days=-1)
    for _ in range(4):
        first.step()
        second.step()
        world.clock.advance(seconds=5)
    assert (first.leads, second.leads) == (True, False)


def test_what_is_held_is_looked_at_again_although_the_clock_steps_back(world: World) -> None:
    worker = world.worker("a")
    world.evidence.change(matured_rows=0.0)
    world.ledger.receive([make_ask()])
    worker.step()
    world.clock.advance(days=-1)
    world.evidence.change(matured_rows=5000.0)
    for _ in range(4):
        worker.step()
        world.clock.advance(seconds=20)
    (trigger,) = world.ledger.triggers()
    assert trigger.decision is not None
    assert trigger.decision.answer is Answer.ACCEPT


def a_run_comes_and_goes(world: World, worker: Worker, outcome: Outcome) -> None:
    world.ledger.ask_by_hand("please")
    worker.look_again()
    worker.step()
    world.launcher.end(world.launcher.started[-1], at=world.clock(), outcome=outcome)
    worker.step()


def test_what_ran_while_the_clock_was_ahead_holds_nothing_back_and_hides_nothing(
    world: World,
) -> None:
    worker = world.worker("a")
    world.clock.advance(days=365)
    for _ in range(3):  # as many as the budget has, and failures as open the circuit
        a_run_comes_and_goes(world, worker, Outcome.FAILED)
        world.clock.advance(hours=3)
    Control(world.ledger).close_circuit("ana", "the disk is larger now")
    world.clock.advance(days=-364)
    assert world.ledger.state().failures == 0
    a_run_comes_and_goes(world, worker, Outcome.FAILED)
    assert len(world.launcher.started) == 4
    state = world.ledger.state()
    assert (state.last_run, state.failures) == (world.launcher.started[-1], 1)
    world.ledger.ask_by_hand("again")
    worker.step()
    decision = world.ledger.triggers()[-1].decision
    assert decision is not None
    assert decision.rule == "cooldown", "what ran since then counts"
    Control(world.ledger).close_circuit("ana", "mended")
    assert world.ledger.state().failures == 0


def test_an_alert_that_was_answered_while_the_clock_was_ahead_asks_again(world: World) -> None:
    ask, hour = make_ask("low_confidence"), timedelta(hours=1)
    world.clock.advance(days=365)
    world.ledger.receive([ask], again_after=hour)
    world.worker("a").step()
    world.clock.advance(minutes=-1)
    assert world.ledger.receive([ask], again_after=hour).duplicates == 1
    assert world.ledger.receive([ask]).duplicates == 1
    world.clock.advance(days=-364)
    assert world.ledger.receive([ask], again_after=hour).recorded == [2]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=12))
def test_steps_of_the_clock_lose_nothing_and_run_one_at_a_time(
    steps: list[tuple[int, bool]],
) -> None:
    world = World()
    worker = world.worker("a")
    for i, (hours, ends) in enumerate(steps):
        world.clock.advance(hours=hours)
        world.ledger.receive([make_ask(fingerprint=f"f{i}")])
        worker.step()
        assert len(world.ledger.runs(only_open=True)) <= 1
        if ends and world.launcher.started:
            world.launcher.end(world.launcher.started[-1], at=world.clock())
    assert len(world.launcher.started) == len(set(world.launcher.started))
    triggers = world.ledger.triggers()
    assert [t.fingerprint for t in triggers] == [f"f{i}" for i in range(len(steps))]
    assert all(t.decision is not None for t in triggers)
    assert world.ledger.audit().triggers == len(steps)
    longest = sum((abs(h) for h, _ in steps), start=200)
    world.clock.now = max([world.clock.now, *(t.received_at for t in triggers)])
    world.clock.advance(hours=longest)
    for run in set(world.launcher.started) - set(world.launcher.outcomes):
        world.launcher.end(run, at=world.clock())
    worker.step()
    worker.step()
    assert all(not t.is_open for t in world.ledger.triggers()), "none waits for a time gone by"
    world.ledger.close()
