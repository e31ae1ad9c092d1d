"""What the HTTP interface takes and tells: bodies and answers, as its OpenAPI document has them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from kontinual.spec import Outcome, RolloutStep
from kontinual.trigger.contracts import Act, Answer, Run, RunKind, RunState, Source, Trigger, Wish

__all__ = [
    "EntryView",
    "Pause",
    "Problem",
    "Received",
    "Refusal",
    "Request",
    "Resume",
    "Rollback",
    "RunView",
    "Statement",
    "Status",
    "TriggerView",
    "without_nul",
]


def without_nul(text: str) -> str:
    """PostgreSQL keeps no NUL in a text, and nobody needs one."""
    if "\x00" in text:
        raise ValueError("a text can not hold the character NUL")
    return text


Words = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(without_nul)]
Who = Annotated[str, Field(min_length=1, max_length=90), AfterValidator(without_nul)]
RunName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$", description="a DNS label")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Statement(_Body):
    """An act with its reason; `by` names the person behind a token that several share."""

    reason: Words
    by: Who | None = None


class Request(Statement):
    """A request for a run."""

    source: Literal[Source.MANUAL, Source.SCHEDULE, Source.NEW_DATA] = Source.MANUAL
    seed: int = Field(default=0, ge=0, lt=2**31)
    past_policy: bool = Field(
        default=False, description="of `manual`: only a pause or a run in progress can hold it"
    )
    run: RunName | None = None
    process: dict[Annotated[str, AfterValidator(without_nul)], Words] | None = Field(
        default=None,
        max_length=20,
        description="where the run goes on already; then it is followed, or refused at once",
    )


class Rollback(Statement):
    """A request to make an earlier version champion."""

    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None = Field(
        default=None, description="left out: the champion before"
    )


class Pause(Statement):
    """Start no run any more."""

    all: bool = Field(default=False, description="every loop of this ledger: the kill switch")
    stop_runs: bool = Field(default=False, description="ask what runs to end, too")


class Resume(Statement):
    """Let runs be started again."""

    all: bool = False


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_View):
    """One mistake in a request."""

    field: str
    message: str


class Refusal(_View):
    """Why a request was not done."""

    detail: str
    problems: list[Problem] = Field(default_factory=list)


class Received(_View):
    """What became of a delivery."""

    recorded: list[int] = Field(description="numbers of the new triggers")
    duplicates: int
    resolved: list[int]
    other_models: int = Field(description="alerts that are not this loop's")


class TriggerView(_View):
    """One trigger; before its first decision it shows as held, by rule `not_examined`."""

    id: int
    source: Source
    by: str | None
    wish: Wish
    alert: str | None
    fingerprint: str | None
    starts_at: AwareDatetime | None
    labels: dict[str, str]
    summary: str
    received_at: AwareDatetime
    resolved_at: AwareDatetime | None
    approved: Act | None
    held_since: AwareDatetime | None
    decided_at: AwareDatetime | None
    run: str | None
    decision: Answer
    rule: str
    reason: str
    decided_by: str | None = Field(description="the person who decided; null: the policy")
    policy: str | None = Field(description="version of the rules")
    passed: list[str]
    evidence: dict[str, Any]
    hold_until: AwareDatetime | None

    @classmethod
    def of(cls, trigger: Trigger) -> "TriggerView":
        told = trigger.model_dump(exclude={"decision"})
        if trigger.decision is None:
            unseen = {"rule": "not_examined", "reason": "received, not examined yet"}
            nothing = {"decided_by": None, "policy": None, "hold_until": None}
            held = {"decision": Answer.HOLD, "passed": [], "evidence": {}}
            return cls(**told, **unseen, **nothing, **held)
        seen = trigger.decision.model_dump()
        return cls(**told, decision=seen.pop("answer"), decided_by=seen.pop("by"), **seen)


class RunView(_View):
    """One run; what its record says stands beside what the ledger knows."""

    id: str
    loop: str | None = None
    trigger: int
    kind: RunKind
    wish: Wish
    state: RunState
    accepted_at: AwareDatetime
    launched_at: AwareDatetime | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    seconds: float | None
    process: dict[str, Any] | None
    stop: Act | None
    outcome: Outcome | None
    reason: str
    version: str | None
    champion: str | None
    span: int | None
    steps: list[RolloutStep]

    @classmethod
    def of(cls, run: Run) -> "RunView":
        told = run.model_dump(exclude={"record"})
        ended: dict[str, Any] = {"outcome": None, "reason": "", "version": None, "champion": None}
        record = run.record.model_dump() if run.record else {**ended, "span": None, "steps": []}
        began = run.launched_at or run.accepted_at
        seconds = (run.ended_at - began).total_seconds() if run.ended_at else None
        extra = {"state": run.state, "kind": run.wish.kind, "seconds": seconds}
        return cls(**{"started_at": None} | record | told | extra)


class Status(_View):
    """The loop at one glance."""

    loop: str
    champion: str | None
    run_in_progress: str | None
    last_run: str | None = Field(description="the last retraining that ended")
    open_triggers: list[int]
    paused: Act | None
    paused_everywhere: Act | None
    failures: int = Field(description="retrainings that failed one after another")
    circuit_open_until: datetime | None = Field(
        description="no run is started before, unless a person closes the circuit"
    )


class EntryView(_View):
    """One entry of the chain."""

    loop: str
    seq: int
    kind: str
    at: str
    body: dict[str, Any]
    previous: str
    hash: str
