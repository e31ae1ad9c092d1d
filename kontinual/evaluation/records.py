"""What an evaluation says, as data."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kontinual.spec import Gate, Metric

__all__ = [
    "Against",
    "CalibrationBin",
    "Comparison",
    "Evaluation",
    "Finding",
    "On",
    "Roc",
    "Verdict",
]

Against = Literal["champion", "base rate"]
On = Literal["new", "old", "slices"]
Verdict = Literal["passed", "blocked", "not judged"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Record):
    """Both models on the same held-out rows, by one metric.

    `improvement` counts in the direction of "better". A figure is None where it does not exist:
    no AUC without both labels, no interval of rows (of either label, for the AUC) that are next
    to all from one block of time, nothing where a model can not score.
    """

    metric: Metric
    on: On
    group: str = Field(description="`span 7` or `carrier=UA`")
    rows: int
    blocks: int = Field(default=0, description="of time that the rows are from")
    blocks_of_one_size: float = Field(
        default=0, description="how many they count for; for ROC AUC, those with the rarer label"
    )
    champion: float | None = None
    challenger: float | None = None
    improvement: float | None = None
    low: float | None = Field(default=None, description="lower end of the 95 % interval")
    high: float | None = Field(default=None, description="upper end of the 95 % interval")
    note: str = Field(default="", description="why figures are missing")

    @property
    def fewer_blocks(self) -> str:
        """What the blocks count for, to be said behind their number; empty if not clearly less."""
        if self.blocks_of_one_size >= 0.75 * self.blocks:
            return ""
        return f", as good as {self.blocks_of_one_size:.1f} of one size"


class Finding(_Record):
    """What one gate says of one comparison."""

    gate: Gate
    comparison: Comparison
    verdict: Verdict
    reason: str


class Roc(_Record):
    """Points of an ROC curve, at most 100, from (0, 0) to (1, 1)."""

    fpr: list[float]
    tpr: list[float]
    thresholds: list[float] = Field(description="finite: the first, above every score, is 1")


class CalibrationBin(_Record):
    """Rows whose scores are close, and how many of them are positive."""

    rows: int
    mean_score: float
    positives: float = Field(description="share of label 1")


class Evaluation(_Record):
    """May the challenger replace the champion, and why?"""

    blessed: bool
    reason: str = Field(description="the verdict in one sentence")
    reasons: list[str] = Field(description="what blocks, or else what speaks for it")
    loop: str
    span: int
    against: Against
    champion_lacks: list[str] = Field(
        default_factory=list,
        description="its features that loop.yaml no longer declares; it got null for them",
    )
    score_gap: float | None = Field(
        default=None,
        description="mean score of the challenger less the champion's, on the new holdout; None "
        "without a champion that scores its rows as they are",
    )
    resamples: int
    comparisons: list[Comparison]
    findings: list[Finding]
    roc: Roc = Field(description="of the challenger on the new holdout")
    champion_roc: Roc | None = None
    confusion: list[list[int]] = Field(description="[[tn, fp], [fn, tp]] of the challenger at 0.5")
    calibration: list[CalibrationBin]
    champion_calibration: list[CalibrationBin] = Field(default_factory=list)

    def about(self, metric: Metric, on: On) -> list[Comparison]:
        """The comparisons by this metric on such groups."""
        return [c for c in self.comparisons if (c.metric, c.on) == (metric, on)]
