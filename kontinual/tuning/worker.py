"""What runs in a trial's own process. The fork server preloads this module."""

import resource
import signal
import time
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

__all__ = ["Cost", "Report", "run_trial"]


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
    started = time.perf_counter()
    # One core each: a trial's answer must not depend on how many run beside it.
    with threadpool_limits(limits=1):
        report = _attempt(loop, folder, suggestion, seed)
    pipe.send(report.model_copy(update={"cost": _cost(started)}))
    pipe.close()


def _attempt(loop: Loop, folder: Path, suggestion: Suggestion, seed: int) -> Report:
    try:
        return Report(metrics=_score(loop, Split.load(folder), suggestion, seed))
    except Exception as exc:  # whatever a trainer raises costs this trial, no other
        return Report(error=f"{type(exc).__name__}: {exc}")


def _score(loop: Loop, split: Split, suggestion: Suggestion, seed: int) -> dict[str, float]:
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
    measured = quality(split.validation_labels, scores)
    figures: dict[str, Any] = measured.model_dump(include={"roc_auc", "log_loss", "brier"})
    return figures


def _cost(started: float) -> Cost:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Cost(
        seconds=time.perf_counter() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=usage.ru_maxrss * 1024,
    )
