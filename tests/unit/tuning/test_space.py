"""The space: an Experiment's flat parameters, and back."""

from collections.abc import Callable
from typing import Any

import pytest

from kontinual.spec import CategoricalParameter, Loop
from kontinual.tuning import Space, Suggestion

MakeLoop = Callable[..., Loop]


@pytest.fixture
def space(make_loop: MakeLoop) -> Space:
    return Space.of(make_loop())


def test_parameters_carry_their_algorithm(space: Space) -> None:
    flat = space.flat()
    assert list(flat) == [
        "algorithm",
        "hist_gradient_boosting.learning_rate",
        "hist_gradient_boosting.max_iter",
        "hist_gradient_boosting.max_leaf_nodes",
        "hist_gradient_boosting.min_samples_leaf",
        "logistic_regression.C",
    ]
    algorithms = flat["algorithm"]
    assert isinstance(algorithms, CategoricalParameter)
    assert algorithms.values == ["hist_gradient_boosting", "logistic_regression"]


def test_a_suggestion_is_assigned_by_full_names(space: Space) -> None:
    suggestion = Suggestion(algorithm="logistic_regression", parameters={"C": 0.5})
    assert space.assignments(suggestion) == {
        "algorithm": "logistic_regression",
        "logistic_regression.C": 0.5,
    }


@pytest.mark.parametrize(
    ("algorithm", "parameters", "inside"),
    [
        ("logistic_regression", {"C": 0.5}, True),
        ("logistic_regression", {"C": 10}, True),
        ("logistic_regression", {"C": 10.5}, False),
        ("logistic_regression", {"C": "1"}, False),
        ("logistic_regression", {"C": True}, False),
        ("logistic_regression", {}, False),
        ("logistic_regression", {"C": 1, "tol": 1}, False),
        ("random_forest", {}, False),
    ],
)
def test_what_is_no_longer_declared_is_outside(
    space: Space, algorithm: str, parameters: dict[str, Any], inside: bool
) -> None:
    assert space.contains(Suggestion(algorithm=algorithm, parameters=parameters)) is inside


def test_defaults_are_those_of_the_trainer_moved_into_the_bounds(make_loop: MakeLoop) -> None:
    search = {
        "learning_rate": {"type": "double", "min": 0.2, "max": 0.4},
        "max_iter": {"type": "int", "min": 5, "max": 20},
        "min_samples_leaf": {"type": "discrete", "values": [5, 20, 80]},
        "max_bins": {"type": "int", "min": 16, "max": 64, "scale": "log"},
        "max_features": {"type": "discrete", "values": [0.5, 0.75, 1.0]},
    }
    loop = make_loop({"algorithm": "hist_gradient_boosting", "search": search})
    (default,) = Space.of(loop).defaults()
    assert default.parameters == {
        "learning_rate": 0.2,
        "max_iter": 20,
        "min_samples_leaf": 20,
        "max_bins": 32,
        "max_features": 0.75,
    }
    assert Space.of(loop).contains(default)
