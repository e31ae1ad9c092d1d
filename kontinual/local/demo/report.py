"""What a demo came to: `report.json` for programs, and the same as a page with plots."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kontinual.spec import Outcome

__all__ = [
    "ChampionScores",
    "DemoReport",
    "DemoSeries",
    "DriftPoint",
    "Firing",
    "MonthReport",
    "Overall",
    "QualityPoint",
    "RunReport",
    "Scores",
    "StepReport",
    "TriggerReport",
    "WeightPoint",
    "render_report",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scores(_Part):
    """Quality on a set of rows; None where they hold one label only."""

    auc: float | None = Field(default=None, ge=0, le=1)
    log_loss: float | None = Field(default=None, ge=0)


class ChampionScores(Scores):
    """Quality of what was served, and the version that served last."""

    version: str


class MonthReport(_Part):
    """One replayed month, champion and frozen model on the same rows."""

    month: int = Field(ge=1, le=12)
    rows: int = Field(ge=0)
    champion: ChampionScores
    frozen: Scores


class Overall(_Part):
    """Quality over all replayed rows."""

    champion: Scores
    frozen: Scores

    @property
    def gain(self) -> float | None:
        """By how much the champion's ROC AUC is above the frozen model's."""
        if self.champion.auc is None or self.frozen.auc is None:
            return None
        return self.champion.auc - self.frozen.auc


class TriggerReport(_Part):
    """What asked for a run, and what was decided."""

    id: int | str
    source: str
    alert: str | None
    received_at: AwareDatetime
    decision: Literal["accept", "suppress", "hold"]
    reason: str
    run: str | None


class StepReport(_Part):
    """What was seen at one weight of a rollout."""

    weight: int = Field(ge=0, le=100)
    verdict: Literal["passed", "failed", "inconclusive"]
    requests: int = Field(ge=0)


class RunReport(_Part):
    """A run of the pipeline and how it ended."""

    id: str
    trigger: int | str
    outcome: Outcome
    reason: str
    seconds: float = Field(ge=0)
    version: str | None
    steps: list[StepReport]


class DemoReport(_Part):
    """`report.json`."""

    loop: str
    seed: int
    seconds: float = Field(ge=0, description="without set-up")
    setup_seconds: float = Field(ge=0)
    months: list[MonthReport]
    overall: Overall
    triggers: list[TriggerReport]
    runs: list[RunReport]


class QualityPoint(_Part):
    """Quality over a block of consecutive answers."""

    time: datetime = Field(description="of the rows' events")
    version: str
    champion_auc: float
    frozen_auc: float


class WeightPoint(_Part):
    """Percent of traffic by version, from this moment of the wall clock on."""

    at: AwareDatetime
    weights: dict[str, int]


class DriftPoint(_Part):
    """Bias-corrected PSI by feature, at a moment of the wall clock."""

    at: AwareDatetime
    psi: dict[str, float]


class Firing(_Part):
    """A while in which an alert fired, by the wall clock."""

    kind: str
    started_at: AwareDatetime
    ended_at: AwareDatetime


class DemoSeries(_Part):
    """What the page draws beside the report; each may be empty."""

    quality: list[QualityPoint] = Field(default_factory=list)
    weights: list[WeightPoint] = Field(default_factory=list)
    drift: list[DriftPoint] = Field(default_factory=list)
    firings: list[Firing] = Field(default_factory=list)


def render_report(report: DemoReport, series: DemoSeries) -> str:
    """The page: one HTML text that needs nothing beside it."""
    # Its drawing library takes a second to import, and the models are needed without it.
    from kontinual.local.demo.page import page

    return page(report, series)
