"""The search space, in the shape of a Katib Experiment: named parameters, all at one level.

`algorithm` is a categorical parameter; each trainer's own carry its name, such
as `hist_gradient_boosting.learning_rate`, and count only where it is chosen.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from kontinual.spec import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Loop,
    Parameter,
)
from kontinual.training import trainer

__all__ = ["ALGORITHM", "Space", "Suggestion"]

ALGORITHM = "algorithm"


class Suggestion(BaseModel):
    """One point of the space: an algorithm with values of its own parameters."""

    model_config = ConfigDict(frozen=True)

    algorithm: str
    parameters: dict[str, Any]


class Space(BaseModel):
    """What may be tried.

    Attributes:
        trainers: for each algorithm, in the declaration's order, its searched parameters.
    """

    model_config = ConfigDict(frozen=True)

    trainers: dict[str, dict[str, Parameter]]

    @classmethod
    def of(cls, loop: Loop) -> "Space":
        """The space that a loop declares."""
        return cls(trainers={t.algorithm: t.search for t in loop.training.trainers})

    @property
    def algorithms(self) -> list[str]:
        return list(self.trainers)

    def flat(self) -> dict[str, Parameter]:
        """Every parameter by its full name, `algorithm` first."""
        parameters: dict[str, Parameter] = {
            ALGORITHM: CategoricalParameter(type="categorical", values=self.algorithms)
        }
        for algorithm, search in self.trainers.items():
            parameters |= {full_name(algorithm, name): p for name, p in search.items()}
        return parameters

    def assignments(self, suggestion: Suggestion) -> dict[str, Any]:
        """A suggestion by full names, as a trial of an Experiment has them."""
        own = {full_name(suggestion.algorithm, n): v for n, v in suggestion.parameters.items()}
        return {ALGORITHM: suggestion.algorithm, **own}

    def contains(self, suggestion: Suggestion) -> bool:
        """May this be tried? No, when the declaration changed since it was."""
        search = self.trainers.get(suggestion.algorithm)
        if search is None or search.keys() != suggestion.parameters.keys():
            return False
        return all(_inside(p, suggestion.parameters[name]) for name, p in search.items())

    def defaults(self) -> list[Suggestion]:
        """Each algorithm with its trainer's defaults, moved into the declared bounds."""
        return [
            Suggestion(
                algorithm=algorithm,
                parameters=_defaults(search, trainer(algorithm).defaults),
            )
            for algorithm, search in self.trainers.items()
        ]


def full_name(algorithm: str, parameter: str) -> str:
    """The name of a trainer's parameter among those of all."""
    return f"{algorithm}.{parameter}"


def _inside(parameter: Parameter, value: Any) -> bool:
    if isinstance(parameter, DiscreteParameter | CategoricalParameter):
        return value in parameter.values
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(parameter, IntParameter) and not isinstance(value, int):
        return False
    return number and parameter.min <= value <= parameter.max


def _defaults(search: Mapping[str, Parameter], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _nearest(p, known.get(name)) for name, p in search.items()}


def _nearest(parameter: Parameter, value: Any) -> Any:
    """The default where it is declared possible, else the nearest, else the middle."""
    if isinstance(parameter, DiscreteParameter | CategoricalParameter):
        return value if value in parameter.values else parameter.values[len(parameter.values) // 2]
    middle: float = (parameter.min + parameter.max) / 2
    if parameter.scale == "log":
        middle = float(parameter.min * parameter.max) ** 0.5
    known = isinstance(value, int | float) and not isinstance(value, bool)
    near = min(max(value if known else middle, parameter.min), parameter.max)
    return float(near) if isinstance(parameter, DoubleParameter) else round(near)
