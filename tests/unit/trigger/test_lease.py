import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

import psutil
import pytest

from kontinual.errors import ServiceError
from kontinual.trigger import Evidence, Ledger, Policy, Trigger, Worker
from kontinual.trigger.lease import LeaseLost, process_name
from kontinual.trigger.metrics import TriggerMetrics

LENGTH = timedelta(seconds=30)
Make = Callable[..., Worker]


def test_one_holds_it_and_may_prolong_it_while_others_wait(ledger: Ledger, clock) -> None:
    first = ledger.take_lease("a/1/0", LENGTH)
    assert first is not None
    assert ledger.take_lease("b/1/0", LENGTH) is None
    clock.advance(seconds=20)
    longer = ledger.take_lease("a/1/0", LENGTH)
    assert longer is not None
    assert (longer.term, longer.expires_at) == (first.term, clock() + LENGTH)
    clock.advance(seconds=29)
    assert ledger.take_lease("b/1/0", LENGTH) is None


def test_it_passes_on_when_it_ends_or_is_given_up_and_the_term_rises(ledger: Ledger, clock) -> None:
    assert ledger.take_lease("a/1/0", LENGTH)
    clock.advance(seconds=30)
    second = ledger.take_lease("b/1/0", LENGTH)
    assert second is not None
    assert second.term == 2
    ledger.release_lease(second)
    third = ledger.take_lease("a/1/0", LENGTH)
    assert third is not None
    assert third.term == 3


def test_giving_up_what_is_another_s_changes_nothing(ledger: Ledger, clock) -> None:
    first = ledger.take_lease("a/1/0", LENGTH)
    clock.advance(seconds=30)
    assert ledger.take_lease("b/1/0", LENGTH)
    assert first is not None
    ledger.release_lease(first)
    assert ledger.take_lease("c/1/0", LENGTH) is None


def test_of_a_dead_process_of_this_machine_nobody_waits_for_the_end(ledger: Ledger) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(child.pid).create_time()
    name = f"{os.uname().nodename}/{child.pid}/{started:.2f}"
    assert ledger.take_lease(name, LENGTH)
    assert ledger.take_lease("b/1/0", LENGTH) is None, "it lives"
    child.communicate()
    taken = ledger.take_lease("b/1/0", LENGTH)
    assert taken is not None
    assert taken.term == 2


def test_a_number_that_is_used_again_is_another_process(ledger: Ledger) -> None:
    mine = process_name()
    earlier = mine.rpartition("/")[0] + "/1.00"
    assert ledger.take_lease(earlier, LENGTH)
    assert ledger.take_lease(mine, LENGTH)


def test_what_a_worker_writes_after_its_term_is_refused(ledger: Ledger, loop, clock) -> None:
    lease = ledger.take_lease("a/1/0", LENGTH)
    clock.advance(seconds=31)
    ledger.take_lease("b/1/0", LENGTH)
    with pytest.raises(LeaseLost, match=r"the lease of toy is held by b/1/0 \(term 2\)"):
        ledger.launched("toy-1", {}, lease=lease)
    assert ledger.audit().entries == 0


@pytest.fixture
def make(ledger: Ledger, loop, clock) -> Make:
    def worker(name: str, evidence, launcher) -> Worker:
        return Worker(
            ledger,
            Policy(loop),
            evidence=evidence,
            launcher=launcher,
            metrics=TriggerMetrics("toy"),
            clock=clock,
            name=name,
        )

    return worker


def test_a_worker_stands_by_while_another_works(
    make: Make, ledger: Ledger, evidence, launcher, clock
) -> None:
    first, second = make("a/1/0", evidence, launcher), make("b/1/0", evidence, launcher)
    first.step()
    ledger.ask_by_hand("please")
    second.step()
    assert not second.leads
    assert ledger.trigger(1).decision is None
    clock.advance(seconds=31)  # the first is stuck somewhere
    second.step()
    assert (second.leads, len(launcher.started)) == (True, 1)
    assert not first.leads
    assert first.is_alive, "standing by is no illness"


def test_a_worker_that_slept_while_it_asked_for_evidence_decides_nothing(
    make: Make, ledger: Ledger, evidence, launcher, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        monkeypatch.undo()
        clock.advance(seconds=31)
        evidence.change(unavailable="down")
        successor.step()
        evidence.change(unavailable=None)
        return evidence.gather(triggers)

    sleeper, successor = make("a/1/0", evidence, launcher), make("b/1/0", evidence, launcher)
    monkeypatch.setattr(evidence, "gather", gather)
    ledger.ask_by_hand("please")
    with pytest.raises(LeaseLost, match="the lease of toy passed on"):
        sleeper.step()
    assert (sleeper.leads, successor.leads) == (False, True)
    assert ledger.trigger(1).decision.rule == "metrics_available", "the successor's word stands"
    assert launcher.started == []


@pytest.mark.parametrize("leads_again", [False, True])
@pytest.mark.parametrize("state", ["accepted", "running"])
def test_a_worker_that_slept_between_two_runs_launches_and_follows_nothing_more(
    make: Make, ledger: Ledger, evidence, launcher, clock, state: str, *, leads_again: bool
) -> None:
    launcher.fails_with = ServiceError("busy")
    sleeper, successor = make("a/1/0", evidence, launcher), make("b/1/0", evidence, launcher)
    ledger.ask_by_hand("please")
    sleeper.step()
    launcher.fails_with = None
    read = {"accepted": ledger.runs()[0]}  # what the sleeper goes by
    clock.advance(seconds=31)
    successor.step()
    read["running"] = ledger.runs()[0]
    launcher.end(read["running"].id, at=clock())
    if leads_again:
        clock.advance(seconds=31)
    with pytest.raises(LeaseLost, match="the lease of toy passed on"):
        sleeper._advance(read[state])
    assert len(launcher.started) == 1
    assert ledger.runs()[0].state == "running"
