"""Every searcher through the same promises."""

import sys
from collections.abc import Callable

import pytest

from kontinual.errors import TrainingError
from kontinual.spec import Loop
from kontinual.tuning import Space, Suggestion, make_searcher

MakeLoop = Callable[..., Loop]
_ALGORITHMS = ["random", "tpe", "multivariate-tpe", "grid", "cmaes", "sobol"]


def _search(
    loop: Loop, seed: int, *, count: int = 12, first: tuple[Suggestion, ...] = ()
) -> list[Suggestion]:
    """Batches of two, as the search has them; the loss is least at C = 0.1, every 5th fails."""
    tuning = loop.training.tuning
    searcher = make_searcher(Space.of(loop), tuning, seed=seed, maximize=False, first=first)
    found: list[Suggestion] = []
    for _ in range(count // 2):
        batch = [s for s in (searcher.ask(), searcher.ask()) if s is not None]
        for suggestion in batch:
            found.append(suggestion)
            loss = abs(suggestion.parameters.get("C", 1) - 0.1)
            searcher.tell(None if len(found) % 5 == 0 else loss)
    return found


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_every_suggestion_lies_in_the_space(make_loop: MakeLoop, algorithm: str) -> None:
    loop = make_loop(algorithm=algorithm, trials=12)
    space = Space.of(loop)
    found = _search(loop, 1)
    assert len(found) == 12
    assert all(space.contains(s) for s in found)


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_the_same_seed_makes_the_same_suggestions(make_loop: MakeLoop, algorithm: str) -> None:
    loop = make_loop(algorithm=algorithm)
    assert _search(loop, 7) == _search(loop, 7)


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_another_seed_makes_others(make_loop: MakeLoop, algorithm: str) -> None:
    loop = make_loop(algorithm=algorithm)
    assert _search(loop, 7) != _search(loop, 8)


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_what_is_to_be_tried_first_is(make_loop: MakeLoop, algorithm: str) -> None:
    loop = make_loop(algorithm=algorithm)
    first = tuple(Space.of(loop).defaults())
    assert tuple(_search(loop, 1, first=first)[:2]) == first


def test_a_sampler_whose_library_is_missing_is_told_before_any_trial(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(TrainingError, match="cmaes needs the package `cmaes`"):
        _search(make_loop(algorithm="cmaes"), 1)


def test_a_grid_ends_and_repeats_nothing(make_loop: MakeLoop) -> None:
    search = {"C": {"type": "double", "min": 0.1, "max": 0.8, "scale": "log"}}
    loop = make_loop({"algorithm": "logistic_regression", "search": search}, algorithm="grid")
    first = (Suggestion(algorithm="logistic_regression", parameters={"C": 0.8}),)
    found = [s.parameters["C"] for s in _search(loop, 0, first=first)]
    assert found[0] == 0.8
    assert sorted(found) == pytest.approx([0.1, 0.2, 0.4, 0.8])


def test_a_grid_beyond_the_budget_is_shared_by_the_algorithms(make_loop: MakeLoop) -> None:
    found = _search(make_loop(algorithm="grid", trials=6), 1, count=12)
    assert [s.algorithm for s in found] == [*Space.of(make_loop()).algorithms] * 3
    assert len({str(s) for s in found}) == 6


@pytest.mark.parametrize("algorithm", ["tpe", "multivariate-tpe", "cmaes"])
def test_a_sampler_of_two_algorithms_learns_from_the_scores(
    make_loop: MakeLoop, algorithm: str
) -> None:
    loop = make_loop(algorithm=algorithm, trials=40)
    ways = []
    for sign in (1, -1):
        searcher = make_searcher(Space.of(loop), loop.training.tuning, seed=3, maximize=False)
        found = [searcher.ask()]
        while len(found) < 40:
            searcher.tell(sign * sum(found[-1].parameters.values()))
            found.append(searcher.ask())
        ways.append(found)
    assert {s.algorithm for s in ways[0]} == set(Space.of(loop).algorithms)
    assert ways[0] != ways[1]


def test_a_sequence_of_two_algorithms_covers_the_space_of_each_evenly(make_loop: MakeLoop) -> None:
    search = {name: {"type": "double", "min": 0, "max": 1} for name in ("C", "l1_ratio")}
    space = Space.model_validate({"trainers": {"a": search, "b": search}})
    tuning = make_loop(algorithm="sobol").training.tuning
    searcher = make_searcher(space, tuning, seed=3, maximize=False)
    found = []
    for _ in range(2 * 33):
        found.append(searcher.ask())
        searcher.tell(0.5)
    for name in ("a", "b"):
        own = [s.parameters["C"] for s in found if s.algorithm == name][1:]  # the first is random
        quarters = [sum(q <= 4 * c < q + 1 for c in own) for q in range(4)]
        assert quarters == [8, 8, 8, 8]


def test_the_model_based_search_closes_in_on_the_best(make_loop: MakeLoop) -> None:
    search = {"C": {"type": "double", "min": 0.001, "max": 10, "scale": "log"}}
    loop = make_loop({"algorithm": "logistic_regression", "search": search}, trials=40)
    found = [abs(s.parameters["C"] - 0.1) for s in _search(loop, 3, count=40)]
    assert sorted(found[-20:])[10] < sorted(found[:10])[5]
