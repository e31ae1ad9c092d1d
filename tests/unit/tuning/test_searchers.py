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
    loop = make_loop(algorithm=algorithm)
    space = Space.of(loop)
    found = _search(loop, 1)
    assert len(found) == 12
    assert all(space.contains(s) for s in found)


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_the_same_seed_makes_the_same_suggestions(make_loop: MakeLoop, algorithm: str) -> None:
    loop = make_loop(algorithm=algorithm)
    assert _search(loop, 7) == _search(loop, 7)


@pytest.mark.parametrize("algorithm", [a for a in _ALGORITHMS if a != "grid"])
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
    assert found == pytest.approx([0.8, 0.1, 0.2, 0.4])


def test_the_model_based_search_closes_in_on_the_best(make_loop: MakeLoop) -> None:
    search = {"C": {"type": "double", "min": 0.001, "max": 10, "scale": "log"}}
    loop = make_loop({"algorithm": "logistic_regression", "search": search}, trials=40)
    found = [abs(s.parameters["C"] - 0.1) for s in _search(loop, 3, count=40)]
    assert sorted(found[-20:])[10] < sorted(found[:10])[5]
