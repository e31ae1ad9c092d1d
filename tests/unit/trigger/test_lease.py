import os
import subprocess
import sys
from datetime import timedelta

import psutil
import pytest

from kontinual.trigger import Ledger, Policy, Worker
from kontinual.trigger.lease import LeaseLost, process_name
from kontinual.trigger.metrics import TriggerMetrics

LENGTH = timedelta(seconds=30)


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


def test_a_worker_stands_by_while_another_works(
    ledger: Ledger, loop, evidence, launcher, clock
) -> None:
    def worker(name: str) -> Worker:
        return Worker(
            ledger,
            Policy(loop),
            evidence=evidence,
            launcher=launcher,
            metrics=TriggerMetrics("toy"),
            clock=clock,
            name=name,
        )

    first, second = worker("a/1/0"), worker("b/1/0")
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
