"""The search space as an Experiment has it: names and texts, all at one level.

Katib has no parameters that exist only for some value of another. So every
trial is given a value for each parameter of each algorithm, and looks only at
those that carry the name of its own (`kontinual.tuning.assignments.read`); to
Katib's sampler the others are noise that it averages over.
"""

import math
from collections.abc import Iterable

from kubeflow_katib_api.models import V1beta1FeasibleSpace, V1beta1ParameterSpec

from kontinual.spec import CategoricalParameter, DiscreteParameter, Parameter
from kontinual.tuning.assignments import EXPONENT, POINT, as_point, as_text, is_fixed
from kontinual.tuning.space import Space, Suggestion

__all__ = ["parameters_of", "point_parameter"]


def parameters_of(space: Space, *, logarithms: bool) -> list[V1beta1ParameterSpec]:
    """Every parameter of a space, `algorithm` first; those with one value only are left out.

    Args:
        space: what may be tried.
        logarithms: does the sampler know logUniform? Else a parameter with a log scale is
            replaced by its exponent to the base 10.
    """
    algorithms, *own = space.flat().items()
    return [
        _spec(name, parameter, logarithms=logarithms)
        for name, parameter in (algorithms, *((n, p) for n, p in own if not is_fixed(p)))
    ]


def point_parameter(points: Iterable[Suggestion]) -> V1beta1ParameterSpec:
    """One parameter whose values are whole suggestions."""
    return _listed(POINT, "categorical", [as_point(point) for point in points])


def _spec(name: str, parameter: Parameter, *, logarithms: bool) -> V1beta1ParameterSpec:
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return _listed(name, parameter.type, [as_text(value) for value in parameter.values])
    low, high = parameter.min, parameter.max
    if parameter.scale == "log" and not logarithms:
        return _between(name + EXPONENT, "double", math.log10(low), math.log10(high), "uniform")
    distribution = "logUniform" if parameter.scale == "log" else "uniform"
    return _between(name, parameter.type, low, high, distribution)


def _listed(name: str, kind: str, texts: list[str]) -> V1beta1ParameterSpec:
    return V1beta1ParameterSpec(
        name=name, parameterType=kind, feasibleSpace=V1beta1FeasibleSpace(list=texts)
    )


def _between(
    name: str, kind: str, low: float, high: float, distribution: str
) -> V1beta1ParameterSpec:
    bounds = V1beta1FeasibleSpace(min=repr(low), max=repr(high), distribution=distribution)
    return V1beta1ParameterSpec(name=name, parameterType=kind, feasibleSpace=bounds)
