"""From the name in a declaration to the trainer."""

import difflib
import importlib
from typing import Any

from kontinual.errors import TrainingError
from kontinual.spec import Loop, Trainer
from kontinual.training.trainers.base import BaseTrainer

__all__ = ["BUILT_IN", "check_trainer", "check_trainers", "complete", "trainer"]

_HERE = "kontinual.training.trainers"
BUILT_IN = {
    "hist_gradient_boosting": f"{_HERE}.hist_gradient_boosting:HistGradientBoostingTrainer",
    "keras_mlp": f"{_HERE}.keras_mlp:KerasMlpTrainer",
    "logistic_regression": f"{_HERE}.logistic_regression:LogisticRegressionTrainer",
    "random_forest": f"{_HERE}.random_forest:RandomForestTrainer",
}


def trainer(algorithm: str) -> BaseTrainer:
    """The trainer of a built-in name or of `package.module:Class`.

    Raises:
        TrainingError: there is none, it can not be imported, or it is no trainer.
    """
    module_name, _, class_name = BUILT_IN.get(algorithm, algorithm).partition(":")
    if not class_name:
        close = difflib.get_close_matches(algorithm, BUILT_IN, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else "."
        raise TrainingError(
            f"no trainer is called {algorithm!r}{hint} There are {', '.join(BUILT_IN)}, "
            "and classes of your own as package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as exc:
        raise TrainingError(f"trainer {algorithm}: it can not be imported: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, BaseTrainer)):
        raise TrainingError(
            f"trainer {algorithm}: a class derived from kontinual.training.BaseTrainer is needed, "
            f"but got {found!r}"
        )
    return _made(algorithm, found)


def complete(loop: Loop, algorithm: str, searched: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a fit: searched over fixed over the trainer's defaults.

    Raises:
        TrainingError: the trainer knows no parameter of such a name.
    """
    found = trainer(algorithm)
    declared = searched
    if any(t.algorithm == algorithm for t in loop.training.trainers):
        declared = loop.training.complete(algorithm, searched)
    _check_names(algorithm, found, declared)
    return {**found.defaults, **declared}


def check_trainers(loop: Loop) -> None:
    """Find every mistake in the declaration's trainers before anything is trained.

    Raises:
        TrainingError: a trainer is not to be had, or has no such parameter.
    """
    for declared in loop.training.trainers:
        check_trainer(declared)


def check_trainer(declared: Trainer) -> None:
    """Find a mistake in the declaration of one trainer.

    Raises:
        TrainingError: it is not to be had, or has no such parameter.
    """
    names = {**declared.fixed, **declared.search}
    _check_names(declared.algorithm, trainer(declared.algorithm), names)


def _made(algorithm: str, found: type[BaseTrainer]) -> BaseTrainer:
    try:
        return found()
    except TypeError as exc:
        raise TrainingError(
            f"trainer {algorithm}: it must be made without arguments and define `fit`: {exc}"
        ) from exc


def _check_names(algorithm: str, found: BaseTrainer, names: dict[str, Any]) -> None:
    if found.known is None:
        return
    for name in names:
        if name not in found.known:
            close = difflib.get_close_matches(name, found.known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else "."
            known = ", ".join(sorted(found.known))
            raise TrainingError(
                f"training.trainers: {algorithm} has no parameter `{name}`{hint} It has: {known}"
            )
