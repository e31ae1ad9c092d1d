"""The predictor's pods on a cluster. On a laptop a predictor is one process."""

from pydantic import Field, model_validator

from kontinual.spec.base import PositiveDuration, Quantity, Strict

__all__ = ["Serving"]


class Serving(Strict):
    """How a version runs on a cluster."""

    replicas: int = Field(
        default=1, ge=1, description="at least; a canary's share of them follows its traffic"
    )
    max_replicas: int | None = Field(default=None, ge=1, description="default: KServe's own")
    requests: dict[str, Quantity] = Field(
        default_factory=lambda: {"cpu": "100m", "memory": "256Mi"},
        description="what the scheduler sets aside for a pod, by resource",
    )
    limits: dict[str, Quantity] = Field(default_factory=lambda: {"memory": "1Gi"})
    service_account: str | None = Field(
        default=None,
        description="whose credentials fetch the model; default: kontinual-predictor of manifests/",
    )
    ready_timeout: PositiveDuration = Field(
        default="15m", validate_default=True, description="a version not ready so long is refused"
    )

    @model_validator(mode="after")
    def _bounds(self) -> "Serving":
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                "`replicas <= max_replicas` must hold, but got "
                f"(replicas={self.replicas}, max_replicas={self.max_replicas})"
            )
        return self
