"""What persons may do, when it is too late, and that each act is in the chain with a name."""

import pytest

from kontinual.errors import ServiceError
from kontinual.spec import Outcome
from kontinual.trigger import (
    Act,
    Ask,
    Control,
    Ledger,
    LedgerDown,
    NotNow,
    NotThere,
    Policy,
    RunKind,
    Source,
    Wish,
    Worker,
)
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.policy import PolicyJudge
from kontinual.trigger.worker import TIMEOUT
from kontinual.trigger.writer import Writer


@pytest.fixture
def control(ledger: Ledger) -> Control:
    return Control(ledger)


@pytest.fixture
def worker(ledger: Ledger, loop, evidence, launcher, clock) -> Worker:
    return Worker(
        ledger,
        Policy(loop),
        evidence=evidence,
        launcher=launcher,
        metrics=TriggerMetrics("toy"),
        clock=clock,
    )


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries()]


def test_a_paused_loop_holds_what_is_asked_until_a_person_resumes_it(
    ledger: Ledger, control: Control, worker: Worker
) -> None:
    control.pause("ana", "a holiday")
    ledger.ask_by_hand("please")
    worker.step()
    held = ledger.trigger(1).decision
    assert held is not None
    assert (held.answer, held.rule) == ("hold", "paused")
    assert held.reason == "the loop is paused by ana since 2026-01-01T00:00:00.000Z: a holiday"
    control.resume("ben", "back")
    worker.look_again()
    worker.step()
    assert len(ledger.runs()) == 1
    assert kinds(ledger)[0::3] == ["loop.paused", "loop.resumed"]


def test_the_kill_switch_holds_every_loop_of_the_database_and_those_to_come(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    ledgers = [Ledger(url, name) for name in ("one", "two")]
    Control(ledgers[0]).pause("ana", "stop", everywhere=True)
    ledgers.append(Ledger(url, "three"))
    for ledger in ledgers:
        switched = ledger.state().paused_everywhere
        assert switched is not None
        assert switched.by == "ana"
    Control(ledgers[2]).resume("ben", "all is well", everywhere=True)
    assert ledgers[0].state().paused_everywhere is None
    everywhere = Ledger(url, "*")
    assert kinds(everywhere) == ["loop.paused", "loop.resumed"]
    assert everywhere.audit().entries == 2
    for ledger in (*ledgers, everywhere):
        ledger.close()


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_pause_can_ask_what_runs_to_end(
    ledger: Ledger, control: Control, worker: Worker, launcher, *, everywhere: bool
) -> None:
    ledger.ask_by_hand("please")
    worker.step()
    control.pause("ana", "wrong data", everywhere=everywhere, stop_runs=True)
    worker.step()
    assert launcher.stopped == launcher.started
    asked = ledger.runs()[0].stop
    assert asked is not None
    assert (asked.by, asked.reason) == ("ana", "wrong data")


@pytest.mark.parametrize("everywhere", [False, True])
def test_what_is_paused_already_can_be_asked_to_stop_what_runs(
    ledger: Ledger, control: Control, worker: Worker, *, everywhere: bool
) -> None:
    ledger.ask_by_hand("please")
    worker.step()
    control.pause("ben", "before a holiday", everywhere=everywhere)
    for _ in range(2):
        control.pause("ana", "wrong data", everywhere=everywhere, stop_runs=True)
    assert ledger.runs()[0].stop.by == "ana"
    state = ledger.state()
    assert (state.paused_everywhere if everywhere else state.paused).by == "ben"
    asked = [e for e in ledger.entries() if e.kind == "run.stop_asked"]
    assert len(asked) == 1, "and a second time is no news"


def test_the_kill_switch_goes_past_a_loop_that_fails_names_it_and_can_be_repeated(
    tmp_path, loop, evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    ledgers = {name: Ledger(url, name) for name in ("one", "two", "three")}
    for ledger in ledgers.values():
        ledger.ask_by_hand("please")
        judge = PolicyJudge(Policy(loop), evidence.gather(ledger.triggers()))
        ledger.decide([1], judge)
    control = Control(ledgers["one"])

    def stop_all(writer: Writer, act: Act) -> None:
        if writer.loop == "three":
            raise LedgerDown("it is locked")
        Control._stop_all(control, writer, act)

    monkeypatch.setattr(control, "_stop_all", stop_all)
    with pytest.raises(
        LedgerDown, match=r"the runs of three could not .*: it is locked; ask again"
    ):
        control.pause("ana", "bad data", everywhere=True, stop_runs=True)
    asked = {name: ledger.runs()[0].stop is not None for name, ledger in ledgers.items()}
    assert asked == {"one": True, "two": True, "three": False}
    monkeypatch.undo()
    control.pause("ana", "bad data", everywhere=True, stop_runs=True)
    assert ledgers["three"].runs()[0].stop.by == "ana"
    for ledger in ledgers.values():
        ledger.close()


def test_what_is_paused_or_not_is_told_to_who_asks_again(control: Control) -> None:
    with pytest.raises(NotNow, match="loop toy is not paused"):
        control.resume("ana", "x")
    control.pause("ana", "a holiday")
    with pytest.raises(NotNow, match="loop toy is paused already, by ana: a holiday"):
        control.pause("ben", "x")
    with pytest.raises(NotNow, match="all loops are not paused"):
        control.resume("ana", "x", everywhere=True)


def test_a_person_decides_once_and_only_about_what_is_open(
    ledger: Ledger, control: Control
) -> None:
    for reason in ("one", "two"):
        ledger.ask_by_hand(reason)
    assert control.reject(1, "ana", "not this week").decision.by == "ana"
    assert control.withdraw(2, "ben", "no need").decision.rule == "withdrawn"
    for act in (control.approve, control.reject, control.withdraw):
        with pytest.raises(NotNow, match="trigger 1 is decided already"):
            act(1, "ana", "x")
        with pytest.raises(NotThere, match="has no trigger 3"):
            act(3, "ana", "x")
    assert ledger.trigger(1).decision.reason == "rejected by ana: not this week"
    assert ledger.runs() == []


def test_an_approval_counts_once(ledger: Ledger, control: Control) -> None:
    ledger.ask_by_hand("one")
    assert control.approve(1, "ana", "go").approved.by == "ana"
    with pytest.raises(NotNow, match="trigger 1 was approved already, by ana"):
        control.approve(1, "ben", "go")


def test_a_stopped_run_is_recorded_as_stopped_by_whom(
    ledger: Ledger, control: Control, worker: Worker, launcher, clock
) -> None:
    ledger.ask_by_hand("please")
    worker.step()
    run = launcher.started[0]
    control.stop(run, "ana", "wrong data")
    with pytest.raises(NotNow, match=f"run {run} was asked to end already, by ana"):
        control.stop(run, "ben", "x")
    worker.step()
    launcher.end(run, at=clock(), outcome=Outcome.FAILED)
    worker.step()
    record = ledger.run(run).record
    assert (record.outcome, record.reason) == (Outcome.STOPPED, "stopped by ana: wrong data")
    with pytest.raises(NotNow, match=f"run {run} has ended already, stopped"):
        control.stop(run, "ben", "x")
    assert ledger.state().failures == 0, "it says nothing about whether runs work"


def test_a_run_that_was_promoted_before_it_could_be_stopped_says_so(
    ledger: Ledger, control: Control, worker: Worker, launcher, clock
) -> None:
    ledger.ask_by_hand("please")
    worker.step()
    launcher.end(launcher.started[0], at=clock(), outcome=Outcome.PROMOTED)
    control.stop(launcher.started[0], "ana", "wrong data")
    worker.step()
    assert ledger.runs()[0].outcome is Outcome.PROMOTED


def test_a_run_that_is_stopped_before_it_was_launched_is_not_launched(
    ledger: Ledger, control: Control, worker: Worker, launcher, clock
) -> None:
    launcher.fails_with = OSError("a defect of the launcher")
    ledger.ask_by_hand("please")
    worker.step()
    launcher.fails_with = None
    run = ledger.runs()[0].id
    control.stop(run, "ana", "no more")
    launcher.end(run, at=clock(), outcome=Outcome.FAILED)
    worker.step()
    assert launcher.started == []
    assert ledger.runs()[0].outcome is Outcome.STOPPED


def test_a_run_that_takes_too_long_is_stopped_and_has_failed(
    ledger: Ledger, worker: Worker, launcher, clock
) -> None:
    ledger.ask_by_hand("please")
    worker.step()
    clock.advance(hours=4 * 2 + 24)  # what the rollout of the declaration may take, and a day
    worker.step()
    (run,) = ledger.runs()
    assert run.stop is not None
    assert run.stop.by == TIMEOUT
    launcher.end(run.id, at=clock(), outcome=Outcome.FAILED)
    worker.step()
    record = ledger.runs()[0].record
    assert (record.outcome, record.reason) == (
        Outcome.FAILED,
        "stopped: it takes longer than 1d8h",
    )


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_pause_holds_a_run_that_is_accepted_but_not_started(
    ledger: Ledger, control: Control, worker: Worker, launcher, *, everywhere: bool
) -> None:
    launcher.fails_with = ServiceError("Kubeflow Pipelines is down")
    ledger.ask_by_hand("please")
    worker.step()
    control.pause("ana", "bad data", everywhere=everywhere)
    launcher.fails_with = None
    worker.step()
    assert launcher.started == []
    control.resume("ana", "mended", everywhere=everywhere)
    worker.step()
    assert launcher.started == [ledger.runs()[0].id]


def test_a_rollback_that_a_person_asks_for_is_started_although_the_loop_is_paused(
    ledger: Ledger, control: Control, worker: Worker, launcher
) -> None:
    launcher.fails_with = ServiceError("no process could be made")
    wish = Wish(kind=RunKind.ROLLBACK)
    ledger.ask(Ask(source=Source.MANUAL, by="ana", summary="version 4 is bad", wish=wish))
    worker.step()
    control.pause("ana", "version 4 is bad", everywhere=True)
    launcher.fails_with = None
    worker.step()
    assert launcher.started == [ledger.runs()[0].id]


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_that_waits_too_long_for_its_start_is_stopped_and_no_failure(
    ledger: Ledger, control: Control, worker: Worker, launcher, clock, *, paused: bool
) -> None:
    launcher.fails_with = ServiceError("Kubeflow Pipelines is down")
    ledger.ask_by_hand("please")
    worker.step()
    if paused:
        control.pause("ana", "a holiday")
        launcher.fails_with = None
    clock.advance(hours=4 * 2 + 24)
    worker.step()
    record = ledger.runs()[0].record
    assert launcher.started == []
    assert (record.outcome, record.reason) == (
        Outcome.STOPPED,
        "stopped by run_timeout: it was not started within 1d8h",
    )
    assert ledger.state().failures == 0


def test_failures_in_a_row_open_the_circuit_and_a_person_closes_it(
    ledger: Ledger, control: Control, worker: Worker, launcher, clock
) -> None:
    with pytest.raises(NotNow, match="the circuit of toy is closed: no run failed"):
        control.close_circuit("ana", "x")
    for _ in range(3):
        clock.advance(hours=9)
        ledger.ask_by_hand("please")
        worker.step()
        launcher.end(launcher.started[-1], at=clock(), outcome=Outcome.FAILED)
        worker.step()
    clock.advance(hours=9)
    ledger.ask_by_hand("please")
    worker.step()
    assert ledger.trigger(4).decision.rule == "circuit"
    control.close_circuit("ana", "the disk is larger now")
    worker.look_again()
    worker.step()
    assert len(launcher.started) == 4
