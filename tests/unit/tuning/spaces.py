"""Strategies: spaces as a declaration may hold them, and points within."""

from typing import Any

from hypothesis import strategies as st

from kontinual.spec import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Parameter,
)
from kontinual.tuning import Space, Suggestion

__all__ = ["spaces", "suggestions"]

_ALGORITHMS = st.from_regex(
    r"[a-z][a-z0-9_]{0,8}|[a-z]{1,3}(\.[a-z]{1,3})?:[A-Z]\w{0,3}", fullmatch=True
)
_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_NUMBERS = st.floats(-1e12, 1e12, allow_subnormal=False)
_POSITIVE = st.floats(1e-9, 1e12)


@st.composite
def _doubles(draw: st.DrawFn) -> DoubleParameter:
    log = draw(st.booleans())
    low, high = sorted((draw(_POSITIVE if log else _NUMBERS), draw(_POSITIVE if log else _NUMBERS)))
    return DoubleParameter(type="double", min=low, max=high, scale="log" if log else "linear")


@st.composite
def _ints(draw: st.DrawFn) -> IntParameter:
    log = draw(st.booleans())
    low, high = sorted(draw(st.tuples(*[st.integers(1 if log else -(10**6), 10**6)] * 2)))
    return IntParameter(type="int", min=low, max=high, scale="log" if log else "linear")


_PARAMETERS: st.SearchStrategy[Parameter] = st.one_of(
    _doubles(),
    _ints(),
    st.lists(st.integers(-99, 99) | _NUMBERS, min_size=1, max_size=5, unique_by=repr).map(
        lambda values: DiscreteParameter(type="discrete", values=values)
    ),
    st.lists(st.text(), min_size=1, max_size=5, unique=True).map(
        lambda values: CategoricalParameter(type="categorical", values=values)
    ),
)


def spaces(*, min_algorithms: int = 1) -> st.SearchStrategy[Space]:
    """Spaces of some algorithms with some parameters of every kind."""
    search = st.dictionaries(_NAMES, _PARAMETERS, max_size=4)
    trainers = st.dictionaries(_ALGORITHMS, search, min_size=min_algorithms, max_size=3)
    return trainers.map(lambda found: Space(trainers=found))


@st.composite
def suggestions(draw: st.DrawFn, space: Space) -> Suggestion:
    """Points of a space."""
    algorithm = draw(st.sampled_from(space.algorithms))
    parameters = {n: draw(_values(p)) for n, p in space.trainers[algorithm].items()}
    return Suggestion(algorithm=algorithm, parameters=parameters)


def _values(parameter: Parameter) -> st.SearchStrategy[Any]:
    if isinstance(parameter, DoubleParameter):
        return st.floats(parameter.min, parameter.max)
    if isinstance(parameter, IntParameter):
        return st.integers(parameter.min, parameter.max)
    return st.sampled_from(parameter.values)
