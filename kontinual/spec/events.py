"""What travels between services: prediction events and labels, and how many alerts."""

from datetime import datetime
from typing import Annotated, Generic, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator

__all__ = [
    "MAX_ALERTS",
    "PREDICTIONS_EVENT",
    "PREDICTION_EVENT",
    "Feedback",
    "LabelRecord",
    "PredictionBatch",
    "PredictionData",
]

MAX_ALERTS = 10_000
"""Alerts in one delivery: Alertmanager leaves out what is beyond, the trigger takes them all."""

PREDICTIONS_EVENT = "dev.kontinual.predictions.v1"
"""CloudEvents `type` of logged requests, as a predictor sends them: many in one event, for a
line of JSON around each would cost more than the rest of the log. `source` is
`/models/<loop>/versions/<version>`, `time` when they were gathered. Sent in the CloudEvents 1.0
batch format (`application/cloudevents-batch+json`) to `POST /api/v1/events`."""

PREDICTION_EVENT = "dev.kontinual.prediction.v1"
"""CloudEvents `type` of one logged request, which is taken the same way. `id` is the
request's id, `time` when it was answered."""


Row = TypeVar("Row")
"""What a request says of one row: id, time and features by name."""

_Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
_Score = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]


class PredictionData(BaseModel, Generic[Row]):
    """`data` of a prediction event: one request, n rows.

    `instances[i]` holds what the request said of row i and `scores[i]`, in
    [0, 1], what was answered. All of one version.
    """

    model_config = ConfigDict(extra="forbid")

    version: _Version
    instances: list[Row]
    scores: list[_Score]


class _Request(BaseModel, Generic[Row]):
    model_config = ConfigDict(extra="forbid")

    instances: list[Row]


class PredictionBatch(BaseModel, Generic[Row]):
    """`data` of a predictions event: requests with their answers, all of one version.

    `requests[i]` stands as KServe's V1 protocol has it, and `predictions[i]` is that of its
    answer: `predictions[i][j]` scores `requests[i].instances[j]`. They stand apart, for a few
    words around each request would cost the predictor more than the rest of the log.
    """

    model_config = ConfigDict(extra="forbid")

    version: _Version
    requests: list[_Request[Row]]
    predictions: list[list[_Score]]

    @model_validator(mode="after")
    def _each_is_answered(self) -> Self:
        if len(self.requests) != len(self.predictions):
            raise ValueError(
                f"{len(self.requests)} requests have one list of predictions each, "
                f"but got {len(self.predictions)}"
            )
        return self


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
