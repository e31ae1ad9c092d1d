"""A suggestion as texts and back, for every space that can be declared."""

import json
import math
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.errors import TrainingError
from kontinual.spec import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Parameter,
)
from kontinual.tuning import Space, Suggestion
from kontinual.tuning.assignments import POINT, as_point, as_text, encode, read
from tests.unit.tuning.spaces import spaces, suggestions

_HARMLESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%/:.@+_-,=")


@given(st.text())
@settings(deadline=None)
def test_an_encoded_text_means_nothing_to_a_shell_and_comes_back(text: str) -> None:
    assert set(encode(text)) <= _HARMLESS
    assert unquote(encode(text)) == text


def test_a_shell_hands_on_what_was_encoded() -> None:
    nasty = "a b'\"$HOME`ls`;|&<>(){}*?~!#\\\n${trialParameters.x}"
    line = f"printf %s x={encode(nasty)}"
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert unquote(said.removeprefix("x=")) == nasty
    assert json.loads(f'"{encode(nasty)}"') == encode(nasty)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_suggestion_of_every_space_comes_back(data: st.DataObject) -> None:
    space = data.draw(spaces())
    suggestion = data.draw(suggestions(space))
    texts = {name: as_text(value) for name, value in space.assignments(suggestion).items()}
    assert read(space, texts) == suggestion
    assert read(space, {POINT: as_point(suggestion)}) == suggestion


@given(st.data())
@settings(deadline=None)
def test_values_of_other_algorithms_are_not_looked_at(data: st.DataObject) -> None:
    space = data.draw(spaces(min_algorithms=2))
    suggestion = data.draw(suggestions(space))
    others = {
        name: "nonsense"
        for name in space.flat()
        if name != "algorithm" and not name.startswith(f"{suggestion.algorithm}.")
    }
    own = {name: as_text(value) for name, value in space.assignments(suggestion).items()}
    assert read(space, others | own) == suggestion


def _space(**search: Parameter) -> Space:
    return Space(trainers={"logistic_regression": search})


def _read(space: Space, **texts: str) -> Mapping[str, Any]:
    own = {f"logistic_regression.{name}": text for name, text in texts.items()}
    return read(space, {"algorithm": "logistic_regression", **own}).parameters


def test_an_exponent_becomes_the_number() -> None:
    space = _space(
        C=DoubleParameter(type="double", min=0.001, max=10, scale="log"),
        n=IntParameter(type="int", min=1, max=1000, scale="log"),
    )
    texts = {"logistic_regression.C.log10": "-1.5", "logistic_regression.n.log10": "2.3"}
    found = read(space, {"algorithm": "logistic_regression", **texts}).parameters
    assert found == {"C": pytest.approx(10**-1.5), "n": round(10**2.3)}


def test_a_rounding_error_is_moved_inside_the_bounds() -> None:
    space = _space(C=DoubleParameter(type="double", min=0.05, max=0.15, scale="log"))
    assert _read(space, C=repr(math.nextafter(0.15, 1))) == {"C": 0.15}
    texts = {"algorithm": "logistic_regression", "logistic_regression.C.log10": "-1.30102999566399"}
    assert read(space, texts).parameters["C"] == pytest.approx(0.05)


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    space = _space(n=IntParameter(type="int", min=1, max=9))
    found = _read(space, n="7.0")
    assert found == {"n": 7}
    assert isinstance(found["n"], int)


def test_what_has_one_value_only_needs_no_assignment() -> None:
    space = _space(
        a=DiscreteParameter(type="discrete", values=[3]),
        b=CategoricalParameter(type="categorical", values=["l2"]),
        c=IntParameter(type="int", min=4, max=4),
    )
    assert _read(space) == {"a": 3, "b": "l2", "c": 4}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, r"algorithm is one of logistic_regression, but got ''"),
        ({"algorithm": "svm"}, r"algorithm is one of logistic_regression, but got 'svm'"),
        ({"algorithm": "logistic_regression"}, r"no value for logistic_regression\.C"),
        ({"C": "11"}, r"logistic_regression\.C lies within \[0\.001, 10\.0\], but got 11"),
        ({"C": "nan"}, r"logistic_regression\.C lies within .* but got nan"),
        ({"C": "much"}, r"logistic_regression\.C is a number, but got 'much'"),
        ({"C": "1", "p": "l3"}, r"logistic_regression\.p is one of \['l1', 'l2'\], but got 'l3'"),
        ({"C.log10": "999"}, r"logistic_regression\.C lies within"),
    ],
)
def test_an_assignment_that_can_not_be_is_named(texts: dict[str, str], message: str) -> None:
    space = _space(
        C=DoubleParameter(type="double", min=0.001, max=10),
        p=CategoricalParameter(type="categorical", values=["l1", "l2"]),
    )
    named = {f"logistic_regression.{n}": t for n, t in texts.items() if n != "algorithm"}
    algorithm = {"algorithm": "logistic_regression"} if named else {}
    given_texts = {k: v for k, v in texts.items() if k == "algorithm"}
    with pytest.raises(TrainingError, match=message):
        read(space, algorithm | given_texts | named)


def test_a_point_is_readable() -> None:
    point = Suggestion(algorithm="my.models:Net", parameters={"C": 0.5, "act": "re lu", "n": 3})
    assert as_point(point) == "my.models:Net,C=0.5,act=re%20lu,n=3"
