"""The search for the best algorithm and its parameters."""

import time
from collections.abc import Callable
from typing import Protocol

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.training import TrainingSet, check_trainers
from kontinual.tuning.result import TuningResult, maximized
from kontinual.tuning.runner import TrialRunner
from kontinual.tuning.searchers import Searcher, make_searcher
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.split import Split
from kontinual.tuning.warm_start import first_trials

__all__ = ["Progress", "TrialStore", "tune"]

Progress = Callable[[int, int, TrialRecord], None]
"""Called after each trial with how many are done, how many are planned, and the trial."""


class TrialStore(Protocol):
    """What a search asks of tracking."""

    def log_trial(self, run_id: str, trial: TrialRecord) -> None:
        """Keep a trial."""
        ...

    def trials(self, limit: int = 200) -> list[TrialRecord]:
        """Former trials, newest first."""
        ...


def tune(
    loop: Loop,
    data: TrainingSet,
    *,
    tracker: TrialStore,
    run_id: str,
    seed: int,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TuningResult:
    """Search the loop's space on the training rows; the holdout is not looked at.

    Trials run in batches of `tuning.parallel` processes and are told in order,
    so the same rows, seed and former trials give the same trials and the same
    best, however long each took (unless the timeout cuts the search short).

    Args:
        loop: space, metric and budget.
        data: rows to search on.
        tracker: keeps every trial, and knows the former ones.
        run_id: the run that the trials belong to.
        seed: of every trial, and added to the declared seed of the sampler.
        progress: told after each trial.
        clock: seconds that never run backwards.

    Raises:
        TrainingError: a trainer is not to be had, or every trial failed.
        TrackingError: a trial could not be kept.
    """
    check_trainers(loop)
    split = Split.of(data)
    searcher = _searcher(loop, tracker, seed)
    tuning, started = loop.training.tuning, clock()
    deadline = started + tuning.timeout.total_seconds()
    trials: list[TrialRecord] = []
    with TrialRunner(loop, split, seed=seed, clock=clock) as runner:
        while len(trials) < tuning.trials and (not trials or clock() < deadline):
            batch = _ask(searcher, min(tuning.parallel, tuning.trials - len(trials)))
            if not batch:
                break
            for trial in runner.run(batch, until=deadline + (deadline - started)):
                searcher.tell(trial.metrics.get(loop.training.metric))
                tracker.log_trial(run_id, trial)
                trials.append(trial)
                if progress:
                    progress(len(trials), tuning.trials, trial)
    return TuningResult.of(trials, loop.training.metric)


def _searcher(loop: Loop, tracker: TrialStore, seed: int) -> Searcher:
    space, tuning, metric = Space.of(loop), loop.training.tuning, loop.training.metric
    first = first_trials(space, tracker.trials(), metric=metric, limit=tuning.trials)
    return make_searcher(
        space, tuning, seed=tuning.seed + seed, maximize=maximized(metric), first=first
    )


def _ask(searcher: Searcher, count: int) -> list[Suggestion]:
    asked = (searcher.ask() for _ in range(count))
    return [suggestion for suggestion in asked if suggestion is not None]
