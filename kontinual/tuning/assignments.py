"""A suggestion as texts, all at one level, and back: as it reaches a trial elsewhere.

Katib, which carries them there, puts values into the text of a trial's Job, and
its webhook joins the command into one line for a shell. So every text is
percent-encoded.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from kontinual.errors import TrainingError
from kontinual.spec import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Parameter,
)
from kontinual.tuning.space import ALGORITHM, Space, Suggestion, full_name

__all__ = ["EXPONENT", "POINT", "as_point", "as_text", "encode", "is_fixed", "read"]

POINT = "point"
"""Names a parameter whose values are whole suggestions: `logistic_regression,C=0.5`."""

EXPONENT = ".log10"
"""Ends the name of a parameter that is given by its exponent to the base 10."""


def encode(text: str) -> str:
    """A text that JSON, `${...}` and a shell leave as it is; `urllib.parse.unquote` undoes it."""
    return quote(text, safe="/:.@+").replace("~", "%7E")


def as_text(value: Any) -> str:
    """A value of a parameter as text."""
    return encode(value) if isinstance(value, str) else repr(value)


def as_point(point: Suggestion) -> str:
    """A whole suggestion as one text."""
    own = (f"{name}={as_text(value)}" for name, value in point.parameters.items())
    return ",".join([encode(point.algorithm), *own])


def is_fixed(parameter: Parameter) -> bool:
    """Has a parameter one value only?"""
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return len(parameter.values) == 1
    return parameter.min == parameter.max


def read(space: Space, assignments: Mapping[str, str]) -> Suggestion:
    """The suggestion that a trial's assignments make, without what its algorithm does not know.

    Numbers a rounding error outside their bounds, as `exp(log(x))` makes them, are moved inside.

    Raises:
        TrainingError: an assignment lacks, or is none that the space could have.
    """
    if POINT in assignments:
        algorithm, *parts = assignments[POINT].split(",")
        pairs = (part.partition("=") for part in parts)
        own = {full_name(unquote(algorithm), name): value for name, _, value in pairs}
        return read(space, {ALGORITHM: algorithm, **own})
    algorithm = unquote(assignments.get(ALGORITHM, ""))
    if algorithm not in space.trainers:
        raise TrainingError(
            f"the trial's algorithm is one of {', '.join(space.algorithms)}, but got {algorithm!r}"
        )
    return Suggestion(
        algorithm=algorithm,
        parameters={
            name: _value(full_name(algorithm, name), parameter, assignments)
            for name, parameter in space.trainers[algorithm].items()
        },
    )


def _value(name: str, parameter: Parameter, assignments: Mapping[str, str]) -> Any:
    if name + EXPONENT in assignments:
        number = 10 ** min(_number(name + EXPONENT, assignments[name + EXPONENT]), 308.0)
        return _bounded(name, parameter, number)
    if name not in assignments:
        if is_fixed(parameter):
            return _only(parameter)
        raise TrainingError(f"the trial was given no value for {name}")
    text = assignments[name]
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        for value in parameter.values:
            if as_text(value) == text:
                return value
        raise TrainingError(f"{name} is one of {parameter.values}, but got {unquote(text)!r}")
    return _bounded(name, parameter, _number(name, text))


def _only(parameter: Parameter) -> Any:
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return parameter.values[0]
    return parameter.min


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise TrainingError(f"{name} is a number, but got {text!r}") from exc


def _bounded(name: str, parameter: Parameter, number: float) -> float | int:
    """The number as the parameter has it: whole for an int, and within the bounds."""
    assert isinstance(parameter, DoubleParameter | IntParameter)  # noqa: S101  lists were read above
    low, high = parameter.min, parameter.max
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    if not low - slack <= number <= high + slack:
        raise TrainingError(f"{name} lies within [{low}, {high}], but got {number}")
    near = min(max(number, low), high)
    return round(near) if isinstance(parameter, IntParameter) else float(near)
