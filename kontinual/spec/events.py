"""What travels between predictor, collector and client: prediction events and labels."""

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["PREDICTION_EVENT", "Feedback", "LabelRecord", "PredictionData"]

PREDICTION_EVENT = "dev.kontinual.prediction.v1"
"""CloudEvents `type` of a logged request. `source` is `/models/<loop>/versions/<version>`,
`id` the request's id, `time` when it was answered. Sent in the CloudEvents 1.0 batch
format (`application/cloudevents-batch+json`) to `POST /api/v1/events`."""


class PredictionData(BaseModel):
    """`data` of a prediction event: one request, n rows.

    `instances[i]` holds what the request said of row i (id, time, features, by
    name) and `scores[i]`, in [0, 1], what was answered. All of one version.
    """

    model_config = ConfigDict(extra="forbid")

    version: str
    instances: list[dict[str, Any]]
    scores: list[float]


class LabelRecord(BaseModel):
    """The truth about one prediction, known later."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    label: int = Field(ge=0, le=1)
    time: AwareDatetime | None = Field(default=None, description="when it became true")


class Feedback(BaseModel):
    """Body of `POST /api/v1/labels`."""

    model_config = ConfigDict(extra="forbid")

    labels: list[LabelRecord] = Field(min_length=1, max_length=10_000)


def utc_text(moment: datetime) -> str:
    """ISO 8601 with `Z`, to the millisecond, as every event and ledger entry has it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
