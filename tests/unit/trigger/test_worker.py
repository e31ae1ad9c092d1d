from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kontinual.errors import LakeError, LedgerError, ServiceError
from kontinual.spec import Loop, Outcome
from kontinual.trigger import Ask, Evidence, Ledger, Policy, Resolution, Run, Trigger, Worker
from kontinual.trigger import worker as worker_module
from kontinual.trigger.metrics import TriggerMetrics

MakeAsk = Callable[..., Ask]


@pytest.fixture
def metrics() -> TriggerMetrics:
    return TriggerMetrics("toy")


@pytest.fixture
def worker(ledger: Ledger, loop: Loop, evidence, launcher, metrics, clock) -> Worker:
    return Worker(
        ledger,
        Policy(loop),
        evidence=evidence,
        launcher=launcher,
        metrics=metrics,
        clock=clock,
        pass_seconds=0.01,
    )


def test_one_pass_judges_launches_and_a_later_one_ends(
    worker: Worker, ledger: Ledger, launcher, clock, ask: MakeAsk
) -> None:
    ledger.receive([ask()])
    worker.step()
    (run,) = ledger.runs()
    assert (run.state, launcher.started) == ("running", [run.id])
    worker.step()
    assert ledger.runs(only_open=True) == [run], "it goes on"
    launcher.end(run.id, at=clock())
    worker.step()
    assert ledger.runs()[0].outcome is Outcome.PROMOTED
    assert launcher.started == [run.id]


def test_a_storm_is_judged_in_many_passes_and_its_run_is_launched_in_the_first(
    worker: Worker,
    ledger: Ledger,
    launcher,
    ask: MakeAsk,
    clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "NEW_IN_A_PASS", 3)
    worker.step()
    ledger.receive([ask("low_confidence", fingerprint=f"n{i}") for i in range(3)])
    ledger.receive([ask(fingerprint=f"f{i}") for i in range(5)])
    answered = []
    for _ in range(3):
        worker.step()
        answered.append(sum(not t.is_open for t in ledger.triggers()))
    assert answered == [3, 8, 8], "three that notify; then one is accepted, and joins the others"
    assert len(launcher.started) == 1
    ledger.receive([ask(fingerprint="late")])
    worker.step()
    assert ledger.trigger(9).decision is not None


def test_a_launch_that_fails_is_tried_again_for_the_same_run(
    worker: Worker, ledger: Ledger, launcher, metrics: TriggerMetrics, ask: MakeAsk
) -> None:
    ledger.receive([ask()])
    launcher.fails_with = ServiceError("disk full")
    worker.step()
    (run,) = ledger.runs()
    assert run.state == "accepted"
    launcher.fails_with = None
    worker.step()
    assert launcher.started == [run.id]
    assert 'kontinual_trigger_errors_total{kind="launch",model="toy"} 1.0' in text_of(metrics)


def test_a_lake_that_does_not_answer_leaves_the_run_open(
    worker: Worker, ledger: Ledger, launcher, monkeypatch: pytest.MonkeyPatch, ask: MakeAsk
) -> None:
    ledger.receive([ask()])
    worker.step()

    def fail(run: Run) -> None:
        raise LakeError("away")

    monkeypatch.setattr(launcher, "outcome", fail)
    worker.step()
    assert len(ledger.runs(only_open=True)) == 1


@pytest.mark.parametrize("method", ["launch", "outcome"])
def test_a_defect_that_one_run_meets_does_not_keep_the_pass_from_the_rest(
    worker: Worker,
    ledger: Ledger,
    launcher,
    metrics: TriggerMetrics,
    monkeypatch: pytest.MonkeyPatch,
    ask: MakeAsk,
    method: str,
) -> None:
    def fail(run: Run) -> None:
        raise KeyError("kfp_run")

    monkeypatch.setattr(launcher, method, fail)
    ledger.receive([ask()])
    worker.step()
    ledger.receive([ask("low_confidence", fingerprint="bb")])
    worker.step()
    assert ledger.trigger(2).decision.rule == "known_action"
    kind = "launch" if method == "launch" else "follow"
    assert f'kontinual_trigger_errors_total{{kind="{kind}",model="toy"}} 0.0' not in text_of(
        metrics
    )


def test_held_triggers_are_looked_at_again_now_and_then(
    worker: Worker, ledger: Ledger, evidence, clock
) -> None:
    evidence.change(matured_rows=0)
    ledger.ask_by_hand("please")
    worker.step()
    evidence.change(matured_rows=5000)
    clock.advance(seconds=14)
    worker.step()
    assert ledger.runs() == []
    clock.advance(seconds=1)
    worker.step()
    assert len(ledger.runs()) == 1


def test_the_end_of_a_run_is_a_reason_to_look_again_at_once(
    worker: Worker, ledger: Ledger, launcher, clock, ask: MakeAsk
) -> None:
    ledger.receive([ask()])
    worker.step()
    clock.advance(seconds=16)
    ledger.receive([ask(fingerprint="bb")])
    worker.step()
    assert ledger.trigger(2).decision.rule == "run_in_progress"
    launcher.end(ledger.runs()[0].id, at=clock())
    worker.step()
    assert ledger.trigger(2).decision.rule == "cooldown"


def test_a_resolved_alert_is_answered_at_once(
    worker: Worker, ledger: Ledger, evidence, clock, ask: MakeAsk
) -> None:
    evidence.change(unavailable="down")
    ledger.receive([ask()])
    worker.step()
    ledger.receive([], [Resolution(fingerprint="aa", starts_at=clock(), ends_at=clock())])
    worker.step()
    assert ledger.trigger(1).decision.rule == "resolved"


def test_decisions_and_outcomes_are_counted(
    worker: Worker, ledger: Ledger, launcher, clock, metrics: TriggerMetrics, ask: MakeAsk
) -> None:
    ledger.receive([ask(), ask(fingerprint="bb"), ask("low_confidence", fingerprint="cc")])
    worker.step()
    launcher.end(ledger.runs()[0].id, at=clock(), outcome=Outcome.ROLLED_BACK)
    worker.step()
    text = text_of(metrics)
    for decision, number in (("accept", 1.0), ("suppress", 2.0), ("hold", 0.0)):
        labels = f'decision="{decision}",model="toy",source="alertmanager"'
        assert f"kontinual_triggers_total{{{labels}}} {number}" in text
    assert 'kontinual_runs_total{model="toy",outcome="rolled_back"} 1.0' in text


def test_a_failing_pass_is_counted_and_the_worker_lives(
    worker: Worker, ledger: Ledger, metrics: TriggerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [LedgerError("locked"), ValueError("a defect")]

    def runs(**_: Any) -> list[Run]:
        if failures:
            raise failures.pop(0)
        worker.stop()
        return []

    monkeypatch.setattr(ledger, "runs", runs)
    worker.run_forever()
    text = text_of(metrics)
    assert 'kontinual_trigger_errors_total{kind="ledger",model="toy"} 1.0' in text
    assert 'kontinual_trigger_errors_total{kind="other",model="toy"} 1.0' in text


def test_a_worker_that_hangs_is_seen(worker: Worker, clock) -> None:
    assert worker.is_alive
    clock.advance(seconds=60)
    assert not worker.is_alive


def text_of(metrics: TriggerMetrics) -> str:
    return metrics.render().decode()


def test_prometheus_is_asked_once_in_a_pass_and_only_for_those_that_ask_for_a_run(
    worker: Worker, ledger: Ledger, evidence, monkeypatch: pytest.MonkeyPatch, ask: MakeAsk
) -> None:
    asked: list[list[int]] = []

    def gather(triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        asked.append([t.id for t in triggers])
        return {t.id: Evidence(unavailable="no route") for t in triggers}

    monkeypatch.setattr(evidence, "gather", gather)
    ledger.receive([ask("low_confidence"), *(ask(fingerprint=f) for f in "abc")])
    worker.step()
    assert asked == [[2, 3, 4]], "who only notifies needs no evidence"
    rules = [t.decision.rule for t in ledger.triggers() if t.decision]
    assert rules == ["known_action", *["metrics_available"] * 3]
