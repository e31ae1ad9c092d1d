"""What holds only where Katib searches: the pods of trials, and when a search gives up."""

from typing import Literal

from pydantic import Field, model_validator

from kontinual.spec.base import Quantity, Strict

__all__ = ["EarlyStopping", "Katib", "Toleration", "TrialJob"]


class Toleration(Strict):
    """A taint of nodes that does not keep a trial off; the fields are those of Kubernetes."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _sound(self) -> "Toleration":
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"operator Exists takes no value, but got {self.value!r}")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key")
        return self


class TrialJob(Strict):
    """The pod of a trial on a cluster."""

    requests: dict[str, Quantity] = Field(
        default_factory=lambda: {"cpu": "500m", "memory": "1Gi"},
        description="what the scheduler sets aside, by resource",
    )
    limits: dict[str, Quantity] = Field(
        default_factory=lambda: {"memory": "2Gi"},
        description="what it may use; a GPU is asked for here, as nvidia.com/gpu: 1",
    )
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    service_account: str | None = Field(default=None, description="default: the namespace's own")
    secrets: list[str] = Field(
        default_factory=list,
        description="Secrets that become environment variables, beside kontinual-object-store",
    )


class EarlyStopping(Strict):
    """Katib's median rule: a trial worse than the mean of the others at the same step ends.

    A step is a fit on a part of the rows: the newest quarter, the newest half, all.
    """

    min_trials: int = Field(default=3, ge=1, description="finished trials before the rule holds")
    start_step: int = Field(default=1, ge=1, le=2, description="the first step that is compared")


class Katib(Strict):
    """What holds only where Katib searches."""

    job: TrialJob = TrialJob()
    early_stopping: EarlyStopping | None = None
    max_failed: int | None = Field(
        default=None,
        ge=1,
        description="an Experiment fails with so many failed trials; default: never",
    )
    keep: bool = Field(default=False, description="leave the Experiments where they are at the end")
