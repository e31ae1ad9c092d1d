"""Katib's suggestion services: what a sampler refuses, and what it proposes next.

Katib runs hyperopt (random, tpe), Optuna (grid, multivariate-tpe) and goptuna (cmaes, sobol) in
pods; here Optuna is all of them, over the very distributions that each of them takes from an
Experiment. goptuna looks at no distribution, so logUniform is uniform to it.
"""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

__all__ = ["InvalidSettings", "Sampler"]

Json = dict[str, Any]
_SETTINGS = {
    "random": {"random_state"},
    "tpe": {"gamma", "prior_weight", "n_EI_candidates", "random_state"},
    "multivariate-tpe": {"n_startup_trials", "n_ei_candidates", "random_state"},
    "grid": {"random_state"},
}
_GOPTUNA = {"cmaes", "sobol"}


class InvalidSettings(Exception):
    """What `ValidateAlgorithmSettings` answers; the Suggestion fails by it."""


class Sampler:
    """The sampler of one Experiment."""

    def __init__(self, experiment: Json) -> None:
        spec = experiment["spec"]
        self._name = spec["algorithm"]["algorithmName"]
        self._space = {p["name"]: _distribution(p, self._name) for p in spec["parameters"]}
        self._validate(spec)
        settings = {s["name"]: s["value"] for s in spec["algorithm"].get("algorithmSettings") or []}
        seed = int(settings["random_state"]) if "random_state" in settings else None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                sampler=self._sampler(seed), direction=spec["objective"]["type"]
            )
        self._asked: dict[str, list[int]] = {}
        self._told: set[str] = set()

    def suggest(self, count: int) -> list[list[dict[str, str]]]:
        """Assignments of so many trials."""
        proposals = []
        for _ in range(count):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = self._study.ask(fixed_distributions=self._space)
            texts = [{"name": n, "value": str(v)} for n, v in trial.params.items()]
            self._asked.setdefault(_key(texts), []).append(trial.number)
            proposals.append(texts)
        return proposals

    def tell(self, name: str, assignments: Sequence[Mapping[str, str]], value: float) -> None:
        """The objective of a trial that succeeded, once."""
        if name not in self._told and self._asked.get(_key(assignments)):
            self._told.add(name)
            self._study.tell(self._asked[_key(assignments)].pop(0), value)

    def _validate(self, spec: Json) -> None:
        for setting in spec["algorithm"].get("algorithmSettings") or []:
            if setting["name"] not in _SETTINGS.get(self._name, {setting["name"]}):
                raise InvalidSettings(f"unknown setting {setting['name']} for {self._name}")
        numbers = [p for p in spec["parameters"] if p["parameterType"] in {"int", "double"}]
        if self._name == "cmaes" and len(numbers) < 2:
            raise InvalidSettings(
                "CMA-ES only supports two or more dimensional continuous search space."
            )
        if self._name == "grid":
            possible = math.prod(len(values) for values in self._grid().values())
            if spec["maxTrialCount"] > possible:
                raise InvalidSettings(
                    f"Max Trial Count: {spec['maxTrialCount']} > all possible search "
                    f"combinations: {possible}"
                )

    def _sampler(self, seed: int | None) -> optuna.samplers.BaseSampler:
        samplers = optuna.samplers
        if self._name == "grid":
            return samplers.GridSampler(self._grid(), seed=seed)
        if self._name == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if self._name == "sobol":
            return samplers.QMCSampler(seed=seed, warn_independent_sampling=False)
        if self._name == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(
            seed=seed, multivariate=self._name == "multivariate-tpe", constant_liar=True
        )

    def _grid(self) -> dict[str, list[Any]]:
        grid = {}
        for name, values in self._space.items():
            if isinstance(values, FloatDistribution):
                raise InvalidSettings(f"Param {name} step is nil; a grid needs one")
            if isinstance(values, CategoricalDistribution):
                grid[name] = list(values.choices)
            elif isinstance(values, IntDistribution):
                grid[name] = list(range(values.low, values.high + 1))
        return grid


def _distribution(parameter: Json, algorithm: str) -> BaseDistribution:
    space, kind = parameter["feasibleSpace"], parameter["parameterType"]
    if kind in {"categorical", "discrete"}:
        return CategoricalDistribution(space["list"])
    log = space.get("distribution") == "logUniform" and algorithm not in _GOPTUNA
    if kind == "int":
        return IntDistribution(int(space["min"]), int(space["max"]), log=log)
    return FloatDistribution(float(space["min"]), float(space["max"]), log=log)


def _key(assignments: Sequence[Mapping[str, str]]) -> str:
    pairs = sorted((a["name"], a["value"]) for a in assignments)
    return ",".join(itertools.chain.from_iterable(pairs))
