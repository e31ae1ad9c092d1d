"""What a search found."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from kontinual.errors import TrainingError
from kontinual.spec import Metric
from kontinual.tracking import TrialRecord

__all__ = ["TuningResult", "best_of", "is_better", "maximized"]


class TuningResult(BaseModel):
    """All trials of a search and the best of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Metric
    best: TrialRecord
    trials: list[TrialRecord]

    @classmethod
    def of(cls, trials: list[TrialRecord], metric: Metric) -> "TuningResult":
        """What these trials found.

        Raises:
            TrainingError: no trial is complete.
        """
        best = best_of(trials, metric)
        if best is None:
            raise TrainingError(
                f"all {len(trials)} trials failed; the first, {trials[0].algorithm} with "
                f"{trials[0].parameters}: {trials[0].error}"
            )
        return cls(metric=metric, best=best, trials=trials)


def maximized(metric: Metric) -> bool:
    """Is a greater value of this metric better?"""
    return metric == "roc_auc"


def best_of(trials: Sequence[TrialRecord], metric: Metric) -> TrialRecord | None:
    """The best complete trial, of equally good ones the earliest; None when all failed."""
    best: TrialRecord | None = None
    for trial in trials:
        if trial.complete and (
            best is None or is_better(metric, trial.metrics[metric], best.metrics[metric])
        ):
            best = trial
    return best


def is_better(metric: Metric, value: float, other: float) -> bool:
    """Is a value strictly better than another?"""
    return value > other if maximized(metric) else value < other
