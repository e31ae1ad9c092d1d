from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kontinual.spec import Loop, Outcome, RunRecord, parse_loop
from kontinual.trigger import Ask, Evidence, Ledger, Run, Source, Trigger

LOOP = """
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: toy
data:
  id: id
  time: at
  label: {name: y, delay: 1d}
  history: {table: history.parquet}
  features:
    - {name: x, type: number, range: [0, 1]}
    - {name: shop, type: category, vocabulary: [big, small]}
  slices: [shop]
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0.0}]
monitoring:
  alerts:
    - {kind: quality_decay, threshold: 0.02, action: retrain}
    - {kind: feature_drift, threshold: 0.25, action: retrain}
    - {kind: new_labels, threshold: 5000, action: retrain}
    - {kind: model_age, threshold: 90, action: retrain}
    - {kind: low_confidence, threshold: 0.15, action: notify}
    - {kind: prediction_drift, threshold: 0.5, action: rollback}
    - {kind: group_bias, threshold: 0.25, action: retrain, approval: always}
trigger: {min_new_labels: 1000, cooldown: 2h, daily_budget: 3}
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)  # of a judgement


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class FakeEvidence:
    """An EvidenceSource that says what it is told."""

    def __init__(self) -> None:
        self.says = Evidence(
            condition="x > 1", value=2.0, quality_decay=0.05, matured_rows=5000, former="3"
        )

    def gather(self, triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        return {trigger.id: self.says for trigger in triggers}

    def change(self, **what: Any) -> None:
        self.says = self.says.model_copy(update=what)


class FakeLauncher:
    """A Launcher whose runs end when they are told to."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.outcomes: dict[str, RunRecord] = {}
        self.fails_with: Exception | None = None

    def launch(self, run: Run) -> dict[str, Any]:
        if self.fails_with:
            raise self.fails_with
        self.started.append(run.id)
        return {"pid": len(self.started)}

    def outcome(self, run: Run) -> RunRecord | None:
        if run.id not in self.started:
            self.end(run.id, at=run.accepted_at, outcome=Outcome.FAILED)
        return self.outcomes.get(run.id)

    def stop(self, run: Run) -> None:
        self.stopped.append(run.id)

    def end(self, run: str, *, at: datetime, outcome: Outcome = Outcome.PROMOTED) -> None:
        self.outcomes[run] = RunRecord(
            id=run,
            loop="toy",
            trigger="1",
            outcome=outcome,
            reason="told so",
            started_at=START,
            ended_at=at,
        )


def make_ask(kind: str = "quality_decay", *, fingerprint: str = "aa", **more: Any) -> Ask:
    return Ask(
        source=Source.ALERTMANAGER,
        alert=kind,
        fingerprint=fingerprint,
        labels={"model": "toy", "kind": kind},
        **{"starts_at": START, **more},
    )


def trigger_of(alert: str | None, **more: Any) -> Trigger:
    source = more.pop("source", Source.ALERTMANAGER if alert else Source.MANUAL)
    return Trigger(
        id=1,
        source=source,
        alert=alert if source is Source.ALERTMANAGER else None,
        fingerprint="aa",
        starts_at=NOW,
        labels={},
        summary="",
        received_at=NOW,
        **more,
    )


@pytest.fixture(scope="session")
def loop() -> Loop:
    return parse_loop(LOOP)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Any, clock: FakeClock) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.db", "toy", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def evidence() -> FakeEvidence:
    return FakeEvidence()


@pytest.fixture
def launcher() -> FakeLauncher:
    return FakeLauncher()


@pytest.fixture
def ask() -> Callable[..., Ask]:
    return make_ask
