"""Whatever comes in whatever order: the promises of the trigger station hold."""

import importlib.util
import itertools
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kontinual.errors import ServiceError
from kontinual.spec import Outcome, parse_loop, utc_text
from kontinual.trigger import (
    Answer,
    Ask,
    Control,
    Ledger,
    NotNow,
    Policy,
    Resolution,
    Run,
    RunKind,
    Source,
    Wish,
    Worker,
)
from kontinual.trigger.metrics import TriggerMetrics


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("trigger_fakes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fakes = load(Path(__file__).with_name("conftest.py"))
# Two failures, so that the budget of three runs a day does not hide the circuit.
LOOP = parse_loop(fakes.LOOP.replace("trigger: {", "trigger: {max_failures: 2, "))
KINDS = [
    *("quality_decay", "feature_drift", "new_labels", "low_confidence", "unheard_of"),
    *("prediction_drift", "group_bias"),  # rolls back; waits for approval
]


class TriggerMachine(RuleBasedStateMachine):
    """Alerts, persons, time, restarts and the world's state, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = fakes.FakeClock()
        self.evidence, self.launcher = fakes.FakeEvidence(), fakes.FakeLauncher()
        self.ledger = Ledger("sqlite://", "toy", clock=self.clock)
        self.final: dict[int, Answer] = {}
        self.control = Control(self.ledger)
        self.restart("a")

    @rule(replica=st.sampled_from("ab"))
    def restart(self, replica: str) -> None:
        """Another process goes on, at once or when the lease of the one before has ended."""
        self.worker = Worker(
            self.ledger,
            Policy(LOOP),
            evidence=self.evidence,
            launcher=self.launcher,
            metrics=TriggerMetrics("toy"),
            clock=self.clock,
            name=f"elsewhere/{replica}/0",
        )

    @rule(kind=st.sampled_from(KINDS), fingerprint=st.sampled_from("abc"))
    def alert(self, kind: str, fingerprint: str) -> None:
        ask = fakes.make_ask(kind, fingerprint=kind + fingerprint)
        self.ledger.receive([ask], again_after=timedelta(hours=2))

    @rule(kind=st.sampled_from(KINDS), fingerprint=st.sampled_from("abc"))
    def resolve(self, kind: str, fingerprint: str) -> None:
        ends = self.clock()
        gone = Resolution(fingerprint=kind + fingerprint, starts_at=fakes.START, ends_at=ends)
        self.ledger.receive([], [gone])

    @rule()
    def person(self) -> None:
        self.ledger.ask_by_hand("please")

    @rule(source=st.sampled_from([Source.SCHEDULE, Source.NEW_DATA]))
    def something_else_asks(self, source: Source) -> None:
        self.ledger.ask(Ask(source=source, summary="please"))

    @rule(version=st.sampled_from([None, "3"]))
    def person_rolls_back(self, version: str | None) -> None:
        wish = Wish(kind=RunKind.ROLLBACK, version=version)
        self.ledger.ask(Ask(source=Source.MANUAL, summary="bad", by="ana", wish=wish))

    @rule(everywhere=st.booleans(), stop_runs=st.booleans())
    def person_pauses(self, *, everywhere: bool, stop_runs: bool) -> None:
        with suppress(NotNow):
            self.control.pause("ana", "stop", everywhere=everywhere, stop_runs=stop_runs)

    @rule(everywhere=st.booleans())
    def person_resumes(self, *, everywhere: bool) -> None:
        with suppress(NotNow):
            self.control.resume("ana", "go", everywhere=everywhere)

    @rule(act=st.sampled_from(["approve", "reject", "withdraw"]), data=st.data())
    def person_decides(self, act: str, data: st.DataObject) -> None:
        waiting = [t.id for t in self.ledger.triggers(only_open=True)]
        if waiting:
            with suppress(NotNow):
                getattr(self.control, act)(data.draw(st.sampled_from(waiting)), "ana", "so")

    @precondition(lambda self: self.ledger.runs())
    @rule()
    def person_stops(self) -> None:
        with suppress(NotNow):
            self.control.stop(self.ledger.runs()[-1].id, "ana", "no")

    @rule()
    def person_closes_the_circuit(self) -> None:
        with suppress(NotNow):
            self.control.close_circuit("ana", "mended")

    @rule(minutes=st.sampled_from([1, 30, 200, 600]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule(
        unavailable=st.sampled_from([None, None, "down"]),
        value=st.sampled_from([None, 2.0]),
        rows=st.sampled_from([None, 10.0, 5000.0]),
        decay=st.sampled_from([None, 0.0, 0.05]),
    )
    def world_changes(
        self,
        unavailable: str | None,
        value: float | None,
        rows: float | None,
        decay: float | None,
    ) -> None:
        self.evidence.change(
            unavailable=unavailable, value=value, matured_rows=rows, quality_decay=decay
        )

    @rule(fails_with=st.sampled_from([None, ServiceError("nothing can be started")]))
    def launcher_changes(self, fails_with: Exception | None) -> None:
        self.launcher.fails_with = fails_with

    @rule()
    def world_is_ripe(self) -> None:
        self.evidence.says = fakes.FakeEvidence().says

    @rule()
    def work(self) -> None:
        state, before = self.ledger.state(), len(self.retrainings)
        started = len(self.launcher.started)
        self.worker.step()
        if self.worker.leads:
            assert all(t.decision is not None for t in self.ledger.triggers()), "judged or held"
        if state.paused or state.paused_everywhere:
            assert len(self.retrainings) == before, "nothing is accepted while paused"
            began = {run.id for run in self.retrainings} & set(self.launcher.started[started:])
            assert not began, "nothing starts while paused"

    @property
    def retrainings(self) -> list[Run]:
        return [run for run in self.ledger.runs() if run.wish.kind is RunKind.RETRAIN]

    @precondition(lambda self: self.launcher.started)
    @rule(outcome=st.sampled_from(Outcome))
    def run_ends(self, outcome: Outcome) -> None:
        self.launcher.end(self.launcher.started[-1], at=self.clock(), outcome=outcome)

    @rule(minutes=st.sampled_from([100, 130]), outcome=st.sampled_from(Outcome))
    def a_run_comes_and_goes(self, minutes: int, outcome: Outcome) -> None:
        """What by chance is rare, so that cooldown and budget are reached often."""
        self.person()
        self.world_is_ripe()
        self.time_passes(1)
        self.work()
        if self.launcher.started:
            self.run_ends(outcome)
            self.work()
        self.time_passes(minutes)

    @rule(
        kind=st.sampled_from(["group_bias", "prediction_drift"]), fingerprint=st.sampled_from("de")
    )
    def a_rare_alert_comes_when_all_speaks_for_it(self, kind: str, fingerprint: str) -> None:
        self.world_is_ripe()
        self.time_passes(600)
        self.alert(kind, fingerprint)
        self.work()

    @rule()
    def runs_fail_one_after_another(self) -> None:
        self.time_passes(600)
        self.time_passes(600)
        for _ in range(2):
            self.a_run_comes_and_goes(130, Outcome.FAILED)
        self.person()
        self.world_is_ripe()
        self.work()

    @invariant()
    def never_two_runs_at_once(self) -> None:
        assert len(self.ledger.runs(only_open=True)) <= 1
        assert len(set(self.launcher.started)) == len(self.launcher.started)

    @invariant()
    def cooldown_and_budget_are_kept(self) -> None:
        runs = self.retrainings
        for former, later in itertools.pairwise(runs):
            assert former.ended_at is not None
            assert later.accepted_at - former.ended_at >= timedelta(hours=2)
        starts = [run.accepted_at for run in runs]
        for i, start in enumerate(starts):
            assert sum(start <= s < start + timedelta(days=1) for s in starts[i:]) <= 3

    @invariant()
    def no_run_follows_two_failures_within_a_day(self) -> None:
        ended = [run for run in self.retrainings if run.outcome is not Outcome.STOPPED]
        closed = [e.at for e in self.ledger.entries() if e.kind == "circuit.closed"]
        for first, second, third in zip(ended, ended[1:], ended[2:], strict=False):
            if first.outcome is second.outcome is Outcome.FAILED:
                by_person = any(utc_text(first.ended_at) <= at for at in closed)
                assert by_person or third.accepted_at - second.ended_at >= timedelta(days=1)

    @invariant()
    def an_alert_rolls_back_only_what_was_promoted(self) -> None:
        changed: Outcome | None = None
        for run in self.ledger.runs():
            by_alert = self.ledger.trigger(run.trigger).source is Source.ALERTMANAGER
            if run.wish.kind is RunKind.ROLLBACK and by_alert:
                assert changed is not Outcome.RESTORED
            if run.outcome is not None and run.outcome.changed_champion:
                changed = run.outcome

    @invariant()
    def what_needs_approval_has_it(self) -> None:
        for run in self.ledger.runs():
            trigger = self.ledger.trigger(run.trigger)
            assert trigger.alert != "group_bias" or trigger.approved is not None

    @invariant()
    def a_final_decision_stays(self) -> None:
        now = {
            t.id: t.decision.answer
            for t in self.ledger.triggers()
            if t.decision is not None and t.decision.answer.is_final
        }
        assert self.final.items() <= now.items()
        self.final = now
        accepted = [n for n, answer in now.items() if answer is Answer.ACCEPT]
        assert sorted(run.trigger for run in self.ledger.runs()) == accepted

    def teardown(self) -> None:
        audit = self.ledger.audit()
        assert audit.triggers == len(self.ledger.triggers())
        self.ledger.close()


TestTrigger = TriggerMachine.TestCase
TestTrigger.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
