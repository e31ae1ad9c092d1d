"""What the trigger station records and judges: triggers, evidence, decisions, runs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kontinual.spec import Outcome, RunRecord

__all__ = [
    "Answer",
    "Ask",
    "Decision",
    "Evidence",
    "PolicyState",
    "Receipt",
    "Resolution",
    "Run",
    "RunState",
    "Source",
    "Trigger",
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(StrEnum):
    """Who asked."""

    ALERTMANAGER = "alertmanager"
    MANUAL = "manual"


class Answer(StrEnum):
    """What the policy says. `hold` may change later; the other two are final."""

    ACCEPT = "accept"
    SUPPRESS = "suppress"
    HOLD = "hold"

    @property
    def is_final(self) -> bool:
        return self is not Answer.HOLD


class Ask(_Record):
    """One firing alert of a delivery, or a person's request, before it is a trigger."""

    source: Source
    alert: str | None = Field(default=None, description="kind of alert, such as `quality_decay`")
    fingerprint: str | None = Field(default=None, description="Alertmanager's, of the labels")
    starts_at: AwareDatetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    summary: str = Field(default="", description="the alert's summary, or the person's reason")
    repeats: bool = Field(
        default=True, description="may a repeated delivery ask again once the answer is old?"
    )


class Resolution(_Record):
    """An alert that stopped firing."""

    fingerprint: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class Receipt(_Record):
    """What became of one delivery."""

    recorded: list[int] = Field(default_factory=list, description="numbers of the new triggers")
    duplicates: int = 0
    resolved: list[int] = Field(default_factory=list, description="triggers whose alert resolved")


class Evidence(_Record):
    """What Prometheus said when it was asked again. None means: no data."""

    unavailable: str | None = Field(default=None, description="why it could not be asked")
    condition: str | None = Field(default=None, description="the alert's PromQL condition")
    value: float | None = Field(default=None, description="value now, if the condition is true")
    quality_decay: float | None = None
    expected_log_loss_rise: float | None = None
    matured_rows: float | None = None


class Decision(_Record):
    """One judgement on one trigger."""

    answer: Answer
    rule: str
    reason: str
    evidence: dict[str, Any] = Field(default_factory=dict)
    hold_until: AwareDatetime | None = Field(
        default=None, description="before this moment the answer stays `hold`"
    )


class Trigger(_Record):
    """A trigger with its latest decision."""

    id: int
    source: Source
    alert: str | None
    fingerprint: str | None
    starts_at: AwareDatetime | None
    labels: dict[str, str]
    summary: str
    received_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    decision: Decision | None = None
    decided_at: AwareDatetime | None = None
    run: str | None = None

    @property
    def is_open(self) -> bool:
        return self.decision is None or not self.decision.answer.is_final


class PolicyState(_Record):
    """What the ledger knows of runs when a trigger is judged."""

    run_in_progress: str | None = None
    last_run: str | None = None
    last_run_ended: AwareDatetime | None = None
    started: list[datetime] = Field(
        default_factory=list, description="starts of the runs of the last 24 hours, oldest first"
    )


class RunState(StrEnum):
    """Where a run is on its way."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    ENDED = "ended"


class Run(_Record):
    """A run as the ledger knows it."""

    id: str
    trigger: int
    accepted_at: AwareDatetime
    launched_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    process: dict[str, Any] | None = Field(default=None, description="where it runs")
    record: RunRecord | None = None

    @property
    def state(self) -> RunState:
        if self.ended_at is not None:
            return RunState.ENDED
        return RunState.ACCEPTED if self.launched_at is None else RunState.RUNNING

    @property
    def outcome(self) -> Outcome | None:
        return self.record.outcome if self.record else None
