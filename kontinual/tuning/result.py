"""What a search found."""

from pydantic import BaseModel, ConfigDict

from kontinual.spec import Metric
from kontinual.tracking import TrialRecord

__all__ = ["TuningResult", "is_better", "maximized"]


class TuningResult(BaseModel):
    """All trials of a search and the best of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Metric
    best: TrialRecord
    trials: list[TrialRecord]


def maximized(metric: Metric) -> bool:
    """Is a greater value of this metric better?"""
    return metric == "roc_auc"


def is_better(metric: Metric, value: float, other: float) -> bool:
    """Is a value strictly better than another?"""
    return value > other if maximized(metric) else value < other
