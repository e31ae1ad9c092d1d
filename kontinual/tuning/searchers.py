"""Who proposes the next trial.

A searcher is told the score of each suggestion in the order it made them;
so its proposals depend on the seed and the scores alone, never on timing.
"""

import importlib
import itertools
import math
import random
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kontinual.errors import TrainingError
from kontinual.spec import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Parameter,
    Tuning,
)
from kontinual.tuning.space import ALGORITHM, Space, Suggestion, full_name

__all__ = [
    "GridSearcher",
    "OptunaSearcher",
    "Searcher",
    "TurnsSearcher",
    "grid",
    "make_searcher",
]

_GRID_LEVELS = 4
_ONE_SPACE = {"cmaes", "sobol"}  # samplers that need every parameter in every trial


class Searcher(ABC):
    """Proposes points of a space and learns from their scores."""

    @abstractmethod
    def ask(self) -> Suggestion | None:
        """The next point, or None when there is nothing left to try."""

    @abstractmethod
    def tell(self, score: float | None) -> None:
        """The score of the earliest suggestion not told yet; None when its trial failed."""


class OptunaSearcher(Searcher):
    """An Optuna study, asked and told.

    Args:
        space: what may be tried.
        tuning: which sampler, how many trials.
        seed: of the sampler.
        maximize: is a greater score better?
        first: points tried before any of the sampler's own.
    """

    def __init__(
        self,
        space: Space,
        tuning: Tuning,
        *,
        seed: int,
        maximize: bool,
        first: Sequence[Suggestion] = (),
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(
            sampler=_sampler(tuning, seed), direction="maximize" if maximize else "minimize"
        )
        self._pending: list[Any] = []
        for suggestion in first:
            self._study.enqueue_trial(space.assignments(suggestion))

    def ask(self) -> Suggestion | None:
        trial = self._study.ask()
        self._pending.append(trial)
        algorithm = trial.suggest_categorical(ALGORITHM, self._space.algorithms)
        search = self._space.trainers[algorithm]
        return Suggestion(
            algorithm=algorithm,
            parameters={n: _suggest(trial, full_name(algorithm, n), p) for n, p in search.items()},
        )

    def tell(self, score: float | None) -> None:
        from optuna.trial import TrialState

        trial = self._pending.pop(0)
        if score is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, score)


class TurnsSearcher(Searcher):
    """A study for each algorithm, which take turns.

    A trial has the parameters of its algorithm alone. Samplers that need the same parameters in
    every trial would find none to work on in a study of several algorithms.

    Args:
        studies: by algorithm.
        first: algorithms of the points that the studies try before any of the samplers' own.
    """

    def __init__(self, studies: Mapping[str, OptunaSearcher], *, first: Sequence[str] = ()) -> None:
        begin = (studies[algorithm] for algorithm in first)
        self._turns = itertools.chain(begin, itertools.cycle(studies.values()))
        self._pending: deque[OptunaSearcher] = deque()

    def ask(self) -> Suggestion | None:
        study = next(self._turns)
        self._pending.append(study)
        return study.ask()

    def tell(self, score: float | None) -> None:
        self._pending.popleft().tell(score)


class GridSearcher(Searcher):
    """The points of a grid (see `grid`).

    Args:
        space: what may be tried.
        trials: how many at most.
        seed: of the choice, when the grid has more.
        first: points tried before the grid, and not again in it.
    """

    def __init__(
        self, space: Space, *, trials: int, seed: int, first: Sequence[Suggestion] = ()
    ) -> None:
        left = max(0, trials - len(first))
        self._points = iter([*first, *grid(space, trials=left, seed=seed, done=first)])

    def ask(self) -> Suggestion | None:
        return next(self._points, None)

    def tell(self, score: float | None) -> None:
        """A grid learns nothing."""


def make_searcher(
    space: Space,
    tuning: Tuning,
    *,
    seed: int,
    maximize: bool,
    first: Sequence[Suggestion] = (),
) -> Searcher:
    """The searcher that a declaration asks for."""
    if tuning.algorithm == "grid":
        return GridSearcher(space, trials=tuning.trials, seed=seed, first=first)

    def study(space: Space, first: Sequence[Suggestion]) -> OptunaSearcher:
        return OptunaSearcher(space, tuning, seed=seed, maximize=maximize, first=first)

    if tuning.algorithm not in _ONE_SPACE:
        return study(space, first)
    studies = {
        algorithm: study(
            Space(trainers={algorithm: search}), [s for s in first if s.algorithm == algorithm]
        )
        for algorithm, search in space.trainers.items()
    }
    return TurnsSearcher(studies, first=[s.algorithm for s in first])


def _sampler(tuning: Tuning, seed: int) -> Any:
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    startup = max(2, tuning.trials // 4)
    with warnings.catch_warnings():
        # `group` is how multivariate TPE handles parameters that not every trial has.
        warnings.simplefilter("ignore", ExperimentalWarning)
        if tuning.algorithm == "random":
            return samplers.RandomSampler(seed=seed)
        if tuning.algorithm == "sobol":
            return samplers.QMCSampler(qmc_type="sobol", seed=seed, warn_independent_sampling=False)
        if tuning.algorithm == "cmaes":
            return _cma_es(seed)
        multivariate = tuning.algorithm == "multivariate-tpe"
        return samplers.TPESampler(
            seed=seed,
            n_startup_trials=startup,
            multivariate=multivariate,
            group=multivariate,
            # Those of a batch run at once; without this they would all be much the same.
            constant_liar=True,
        )


def _cma_es(seed: int) -> Any:
    from optuna import samplers

    try:
        importlib.import_module("cmaes")
    except ImportError as exc:
        raise TrainingError(
            "training.tuning.algorithm: cmaes needs the package `cmaes` where trials run; "
            "install it, or choose tpe"
        ) from exc
    return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _suggest(trial: Any, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, DoubleParameter):
        log = parameter.scale == "log"
        return trial.suggest_float(name, parameter.min, parameter.max, log=log)
    if isinstance(parameter, IntParameter):
        log = parameter.scale == "log"
        return trial.suggest_int(name, parameter.min, parameter.max, log=log)
    return trial.suggest_categorical(name, parameter.values)


def grid(
    space: Space, *, trials: int, seed: int, done: Sequence[Suggestion] = ()
) -> list[Suggestion]:
    """The combinations of each algorithm, an interval cut into four levels, in random order.

    Algorithms take turns, so that a budget too small for all of them is shared evenly, and what is
    tried of one is spread over its whole grid.

    Args:
        space: what may be tried.
        trials: how many at most.
        seed: of the order.
        done: points that are left out.
    """
    rng = random.Random(seed)  # noqa: S311  no secret
    of_each = [
        [
            point
            for point in _points(algorithm, search, trials + len(done), rng)
            if point not in done
        ]
        for algorithm, search in space.trainers.items()
    ]
    turns = itertools.zip_longest(*of_each)
    return [point for turn in turns for point in turn if point is not None][:trials]


def _points(
    algorithm: str, search: Mapping[str, Parameter], count: int, rng: random.Random
) -> list[Suggestion]:
    """As many different points of one algorithm's grid, or all; never the whole product."""
    levels = [_levels(p) for p in search.values()]
    size = math.prod(map(len, levels))
    points = []
    for number in rng.sample(range(size), min(size, count)):
        values, rest = [], number
        for level in levels:
            rest, place = divmod(rest, len(level))
            values.append(level[place])
        points.append(
            Suggestion(algorithm=algorithm, parameters=dict(zip(search, values, strict=True)))
        )
    return points


def _levels(parameter: Parameter) -> list[Any]:
    if isinstance(parameter, DiscreteParameter | CategoricalParameter):
        return list(parameter.values)
    spread = np.geomspace if parameter.scale == "log" else np.linspace
    levels = np.clip(
        spread(parameter.min, parameter.max, _GRID_LEVELS), parameter.min, parameter.max
    )
    if isinstance(parameter, IntParameter):
        return sorted({round(float(level)) for level in levels})
    return sorted({float(level) for level in levels})
