"""What is kept of a trial."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TrialRecord"]


class TrialRecord(BaseModel):
    """One attempt of the search: what was tried, what came out, what it cost."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    number: int = Field(ge=0, description="position in its search, from 0")
    algorithm: str
    parameters: dict[str, Any] = Field(description="the searched ones, without the algorithm")
    metrics: dict[str, float] = Field(
        default_factory=dict, description="roc_auc, log_loss, brier on the validation rows"
    )
    seconds: float = Field(ge=0, description="wall clock")
    cpu_seconds: float = Field(ge=0, description="user and system time of the trial's process")
    peak_memory_bytes: int = Field(ge=0, description="greatest resident set of that process")
    seed: int
    state: Literal["complete", "failed"]
    error: str | None = Field(default=None, description="why it failed, in a sentence")

    @property
    def complete(self) -> bool:
        return self.state == "complete"
