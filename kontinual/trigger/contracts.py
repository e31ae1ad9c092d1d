"""What the trigger station records and judges: triggers, evidence, decisions, runs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kontinual.errors import LedgerError
from kontinual.spec import Outcome, RunRecord

__all__ = [
    "Act",
    "Answer",
    "Ask",
    "Decision",
    "Evidence",
    "LedgerDown",
    "Message",
    "NotNow",
    "NotThere",
    "PolicyState",
    "Query",
    "Receipt",
    "Resolution",
    "Run",
    "RunKind",
    "RunState",
    "Source",
    "Trigger",
    "Wish",
]


class LedgerDown(LedgerError):
    """The database does not answer or can not write now, whatever is asked of it."""


class NotThere(LedgerError):
    """The ledger holds no such trigger or run."""


class NotNow(LedgerError):
    """What was asked is not possible in the present state; nothing was written."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(StrEnum):
    """Who asked."""

    ALERTMANAGER = "alertmanager"
    MANUAL = "manual"
    SCHEDULE = "schedule"
    NEW_DATA = "new_data"


class Answer(StrEnum):
    """What the policy says. `hold` may change later; the other two are final."""

    ACCEPT = "accept"
    SUPPRESS = "suppress"
    HOLD = "hold"

    @property
    def is_final(self) -> bool:
        return self is not Answer.HOLD


class RunKind(StrEnum):
    """What a run does."""

    RETRAIN = "retrain"
    ROLLBACK = "rollback"


class Act(_Record):
    """What a person (or a rule with a name of its own) did, and why."""

    by: str = Field(min_length=1, max_length=200)
    reason: str
    at: AwareDatetime


class Wish(_Record):
    """What exactly is asked for, where that is more than a retraining as usual."""

    kind: RunKind = RunKind.RETRAIN
    version: str | None = Field(
        default=None, description="of a rollback: the version to restore; fixed when it is accepted"
    )
    seed: int = Field(default=0, ge=0, description="of everything random in the run")
    past_policy: bool = Field(
        default=False, description="a person takes it upon them; only a pause or a run can hold it"
    )
    run: str | None = Field(default=None, description="name of the run; made up when left out")
    process: dict[str, Any] | None = Field(
        default=None, description="where the run goes on already; it is followed when accepted"
    )


class Ask(_Record):
    """One firing alert of a delivery, or a request, before it is a trigger."""

    source: Source
    by: str | None = Field(default=None, description="who asked, for what a person can ask")
    wish: Wish = Wish()
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


class Message(_Record):
    """What one delivery brings."""

    asks: list[Ask] = Field(default_factory=list)
    resolutions: list[Resolution] = Field(default_factory=list)


class Receipt(_Record):
    """What became of one delivery."""

    recorded: list[int] = Field(default_factory=list, description="numbers of the new triggers")
    duplicates: int = 0
    resolved: list[int] = Field(default_factory=list, description="triggers whose alert resolved")


class Query(_Record):
    """One question to Prometheus, with its answer."""

    name: str
    promql: str
    at: AwareDatetime
    value: float | None = Field(description="None: no data, or the condition is not true")


class Evidence(_Record):
    """What Prometheus, and of a rollback the registry, said when asked. None means: no data."""

    unavailable: str | None = Field(default=None, description="why it could not be asked")
    condition: str | None = Field(default=None, description="the alert's PromQL condition")
    value: float | None = Field(default=None, description="value now, if the condition is true")
    quality_decay: float | None = None
    expected_log_loss_rise: float | None = None
    matured_rows: float | None = None
    former: str | None = Field(default=None, description="whom a rollback makes champion again")
    champions: list[str] | None = Field(
        default=None, description="versions that ever were champion, asked if a rollback names one"
    )
    registry_unavailable: str | None = Field(default=None, description="why it could not be asked")
    queries: list[Query] = Field(default_factory=list)


class Decision(_Record):
    """One judgement on one trigger, by the policy or by a person."""

    answer: Answer
    rule: str = Field(description="of those asked in their order, the first that spoke")
    reason: str
    by: str | None = Field(default=None, description="the person who decided; None: the policy")
    policy: str | None = Field(default=None, description="version of the rules")
    passed: list[str] = Field(default_factory=list, description="rules that had no objection")
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="queries, times, values, and the thresholds in force"
    )
    hold_until: AwareDatetime | None = Field(
        default=None, description="before this moment the answer stays `hold`"
    )


class Trigger(_Record):
    """A trigger with its latest decision."""

    id: int
    source: Source
    by: str | None = None
    wish: Wish = Wish()
    alert: str | None
    fingerprint: str | None
    starts_at: AwareDatetime | None
    labels: dict[str, str]
    summary: str
    received_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    approved: Act | None = None
    held_since: AwareDatetime | None = None
    decision: Decision | None = None
    decided_at: AwareDatetime | None = None
    run: str | None = None

    @property
    def is_open(self) -> bool:
        return self.decision is None or not self.decision.answer.is_final


class PolicyState(_Record):
    """What the ledger knows of runs and persons' acts when a trigger is judged."""

    paused: Act | None = None
    paused_everywhere: Act | None = Field(default=None, description="the kill switch of all loops")
    run_in_progress: str | None = None
    last_run: str | None = Field(default=None, description="the last retraining that ended")
    last_run_ended: AwareDatetime | None = None
    started: list[datetime] = Field(
        default_factory=list,
        description="starts of the retrainings of the last 24 hours, oldest first",
    )
    failures: int = Field(
        default=0, ge=0, description="retrainings that failed one after another, up to now"
    )
    last_failure: AwareDatetime | None = None
    restored_by: str | None = Field(
        default=None, description="the run that last changed the champion, if it was a rollback"
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
    wish: Wish = Wish()
    accepted_at: AwareDatetime
    launched_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    process: dict[str, Any] | None = Field(default=None, description="where it runs")
    stop: Act | None = Field(default=None, description="who asked it to end, and why")
    record: RunRecord | None = None

    @property
    def state(self) -> RunState:
        if self.ended_at is not None:
            return RunState.ENDED
        return RunState.ACCEPTED if self.launched_at is None else RunState.RUNNING

    @property
    def outcome(self) -> Outcome | None:
        return self.record.outcome if self.record else None
