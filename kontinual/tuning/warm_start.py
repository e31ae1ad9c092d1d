"""From former searches to the first trials of the next."""

from collections.abc import Iterator, Sequence

from kontinual.spec import Metric
from kontinual.tracking import TrialRecord
from kontinual.tuning.result import maximized
from kontinual.tuning.space import Space, Suggestion

__all__ = ["first_trials"]


def first_trials(
    space: Space, former: Sequence[TrialRecord], *, metric: Metric, limit: int
) -> list[Suggestion]:
    """What to try before the search proper.

    The best of former searches, latest first, for a quarter of the budget at
    most (but one at least), then each algorithm's defaults. Scores of former
    searches are not used: they were had on other rows.

    Args:
        space: what may be tried; what it no longer holds is left out.
        former: trials, newest first.
        metric: what the best is known by.
        limit: the budget, in trials.
    """
    chosen: list[Suggestion] = []
    for search in _searches(former):
        best = _best(space, search, metric)
        if best is not None and best not in chosen:
            chosen.append(best)
    chosen = chosen[: max(1, limit // 4)]
    return [*chosen, *(d for d in space.defaults() if d not in chosen)][:limit]


def _searches(former: Sequence[TrialRecord]) -> Iterator[list[TrialRecord]]:
    """Trials by search: newest first, the numbers fall to 0 where a search began."""
    search: list[TrialRecord] = []
    for trial in former:
        if search and trial.number >= search[-1].number:
            yield search
            search = []
        search.append(trial)
    if search:
        yield search


def _best(space: Space, search: Sequence[TrialRecord], metric: Metric) -> Suggestion | None:
    sign = -1 if maximized(metric) else 1
    possible = [
        (sign * trial.metrics[metric], trial.number, suggestion)
        for trial in search
        if trial.complete and metric in trial.metrics
        if space.contains(
            suggestion := Suggestion(algorithm=trial.algorithm, parameters=trial.parameters)
        )
    ]
    return min(possible, key=lambda entry: entry[:2])[2] if possible else None
