"""The declaration of one loop; everything else is rendered from it."""

from typing import Literal

from pydantic import Field, model_validator

from kontinual.spec.base import Name, Strict
from kontinual.spec.data import Data
from kontinual.spec.decide import Alert, AlertKind, Gate, Monitoring, Rollout, TriggerPolicy
from kontinual.spec.schedule import Schedule
from kontinual.spec.serving import Serving
from kontinual.spec.training import Training, Validation

__all__ = ["API_VERSION", "LOOP_LABEL", "Loop"]

API_VERSION = "kontinual.dev/v1alpha1"
LOOP_LABEL = "kontinual.dev/loop"
"""Label of all that is a loop's own in a cluster; its value is the loop's name."""


class Loop(Strict):
    """A model in production, and all that keeps it good."""

    api_version: Literal["kontinual.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Loop"]
    name: Name
    description: str = ""
    data: Data
    validation: Validation = Validation()
    training: Training
    gates: list[Gate] = Field(min_length=1)
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    monitoring: Monitoring
    trigger: TriggerPolicy = TriggerPolicy()
    schedule: Schedule | None = None

    def condition(self, alert: Alert) -> str:
        """The PromQL condition under which an alert fires, and is still true when re-checked."""
        return f'{alert.kind.series}{{model="{self.name}"}} > {alert.threshold!r}'

    @model_validator(mode="after")
    def _names(self) -> "Loop":
        unknown = sorted(set(self.validation.max_drift_by_feature) - set(self.data.feature_names))
        if unknown:
            raise ValueError(f"validation.max_drift_by_feature names no feature: {unknown}")
        watches_drift = self.monitoring.alert(AlertKind.FEATURE_DRIFT) is not None
        if watches_drift and not self.data.steady_names:
            raise ValueError("an alert on feature_drift needs a feature that is not seasonal")
        return self

    @model_validator(mode="after")
    def _slices(self) -> "Loop":
        """Without slices what judges them would pass without a word."""
        judging = [f"gates[{i}]" for i, gate in enumerate(self.gates) if gate.on == "slices"]
        if self.monitoring.alert(AlertKind.GROUP_BIAS):
            judging.append("the alert on group_bias")
        if judging and not self.data.slices:
            raise ValueError(
                f"{', '.join(judging)} would judge nothing, for data.slices is empty; "
                "name category features there"
            )
        return self
