"""What stations say of a run; written by its steps, read by trigger, demo and page."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from kontinual.masking import masked

__all__ = ["Outcome", "RolloutStep", "RunRecord"]

# What a process said last may be in it, and the ledger keeps it for good.
Reason = Annotated[str, AfterValidator(masked)]


class Outcome(StrEnum):
    """How a run ended."""

    PROMOTED = "promoted"
    REJECTED_DATA = "rejected_data"
    REJECTED_MODEL = "rejected_model"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    RESTORED = "restored"  # of a rollback by person or alert: an earlier version is champion again
    STOPPED = "stopped"  # by a person, or before it was started

    @property
    def changed_champion(self) -> bool:
        return self in {Outcome.PROMOTED, Outcome.RESTORED}


class RolloutStep(BaseModel):
    """What was seen at one weight."""

    model_config = ConfigDict(extra="forbid")

    weight: int = Field(ge=0, le=100, description="percent of traffic on the canary")
    verdict: Literal["passed", "failed", "inconclusive"]
    reason: Reason = ""
    requests: int = Field(ge=0, description="canary requests seen at this step")
    started_at: AwareDatetime
    ended_at: AwareDatetime


class RunRecord(BaseModel):
    """A whole run, from its admission to its outcome."""

    model_config = ConfigDict(extra="forbid")

    id: str
    loop: str
    trigger: str = Field(description="id of the ledger's trigger, or `manual`")
    outcome: Outcome
    reason: Reason
    started_at: AwareDatetime
    ended_at: AwareDatetime
    version: str | None = Field(default=None, description="the challenger, if one was trained")
    champion: str | None = Field(
        default=None,
        description="the champion after the run; None where the run ended before it asked",
    )
    span: int | None = None
    steps: list[RolloutStep] = Field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()
