"""What a demo came to: `report.json`, and the same as one page with plots."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from kontinual.spec import Outcome

__all__ = [
    "ChampionScore",
    "DemoReport",
    "DriftPoint",
    "MonthReport",
    "Overall",
    "QualityPoint",
    "RunReport",
    "Score",
    "Series",
    "StepReport",
    "TriggerReport",
    "WeightPoint",
    "render_report",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Part):
    """How well answers ranked and predicted; None where no row was served."""

    auc: float | None
    log_loss: float | None


class ChampionScore(Score):
    """The same of what was served, with the version that served last."""

    version: str


class MonthReport(_Part):
    """Champion and frozen first model on the same rows of a month."""

    month: int
    rows: int
    champion: ChampionScore
    frozen: Score


class Overall(_Part):
    """Both over all replayed months."""

    champion: Score
    frozen: Score


class TriggerReport(_Part):
    """A reason to retrain, and what was decided."""

    id: str
    source: str
    alert: str | None
    received_at: str
    decision: Literal["accept", "suppress", "hold"]
    reason: str
    run: str | None


class StepReport(_Part):
    """One weight of a rollout."""

    weight: int
    verdict: Literal["passed", "failed", "inconclusive"]
    requests: int


class RunReport(_Part):
    """A run of the pipeline and its outcome."""

    id: str
    trigger: str
    outcome: Outcome
    reason: str
    seconds: float
    version: str | None
    steps: list[StepReport]


class DemoReport(_Part):
    """`report.json`."""

    loop: str
    seed: int
    seconds: float
    setup_seconds: float
    months: list[MonthReport]
    overall: Overall
    triggers: list[TriggerReport]
    runs: list[RunReport]


class QualityPoint(_Part):
    """Quality over a block of consecutive answers."""

    time: str  # of the events, ISO 8601
    version: str
    champion_auc: float
    frozen_auc: float


class WeightPoint(_Part):
    """Share of traffic on a challenger from a moment on."""

    time: str  # wall clock, ISO 8601
    run: str
    weight: int


class DriftPoint(_Part):
    """Bias-corrected PSI of a feature against the then champion's reference."""

    time: str  # wall clock, ISO 8601
    feature: str
    psi: float


class Series(_Part):
    """What the page's plots are drawn from."""

    quality: list[QualityPoint]
    weights: list[WeightPoint]
    drift: list[DriftPoint]


def render_report(report: DemoReport, series: Series) -> str:
    """The page: one HTML text that needs nothing beside it."""
    # Its drawing library takes a second to import, and the models are needed without it.
    from kontinual.local.demo.page import page

    return page(report, series)
