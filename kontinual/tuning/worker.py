"""What runs in a trial's own process. The fork server preloads this module."""

import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.ensemble
import sklearn.linear_model  # noqa: F401  preloaded, so that a trial starts in milliseconds
from pydantic import BaseModel
from threadpoolctl import threadpool_limits

from kontinual.model import quality
from kontinual.spec import Loop
from kontinual.training import fit, positive_scores
from kontinual.tuning.space import Suggestion
from kontinual.tuning.split import Split

__all__ = ["Cost", "Report", "measured", "run_trial", "score"]


class Cost(BaseModel):
    """What a trial used."""

    seconds: float = 0
    cpu_seconds: float = 0
    peak_memory_bytes: int = 0


class Report(BaseModel):
    """What a trial's process says at its end."""

    metrics: dict[str, float] = {}
    error: str | None = None
    cost: Cost = Cost()


def run_trial(
    pipe: Connection, loop: Loop, folder: Path, suggestion: Suggestion, seed: int
) -> None:
    """Fit one suggestion, score it, and send the Report; the process ends after that."""
    # Ctrl-C reaches the whole group; the parent ends its trials itself, with no traceback each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(measured(lambda: score(loop, Split.load(folder), suggestion, seed)))
    pipe.close()


def measured(work: Callable[[], dict[str, float]]) -> Report:
    """Do the work of a trial, one to a process; whatever it raises becomes the report's error."""
    started = time.perf_counter()
    # One core each: a trial's answer must not depend on how many run beside it.
    with threadpool_limits(limits=1):
        try:
            report = Report(metrics=work())
        except Exception as exc:  # whatever a trainer raises costs this trial, no other
            report = Report(error=f"{type(exc).__name__}: {exc}")
    return report.model_copy(update={"cost": _cost(started)})


def score(loop: Loop, split: Split, suggestion: Suggestion, seed: int) -> dict[str, float]:
    """Fit a suggestion to one part of the split; its quality on the other, by metric.

    Raises:
        TrainingError: the trainer failed.
        ValueError: the model's scores are no finite numbers.
    """
    model = fit(
        loop,
        np.asarray(split.matrix),
        np.asarray(split.labels),
        algorithm=suggestion.algorithm,
        parameters=suggestion.parameters,
        seed=seed,
    )
    scores = positive_scores(model, np.asarray(split.validation_matrix))
    if not np.isfinite(scores).all():
        raise ValueError(f"{suggestion.algorithm} gives scores that are no finite numbers")
    found = quality(split.validation_labels, scores)
    figures: dict[str, Any] = found.model_dump(include={"roc_auc", "log_loss", "brier"})
    return figures


def _cost(started: float) -> Cost:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Cost(
        seconds=time.perf_counter() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=usage.ru_maxrss * 1024,
    )
