"""What former searches teach the next one."""

from collections.abc import Callable

import pytest

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.tuning import Space
from kontinual.tuning.warm_start import first_trials

MakeLoop = Callable[..., Loop]
MakeTrial = Callable[..., TrialRecord]


@pytest.fixture
def space(make_loop: MakeLoop) -> Space:
    return Space.of(make_loop())


def _c(value: float) -> dict[str, float]:
    return {"C": value}


def test_without_former_trials_the_defaults_come_first(space: Space) -> None:
    found = first_trials(space, [], metric="log_loss", limit=8)
    assert [s.algorithm for s in found] == ["hist_gradient_boosting", "logistic_regression"]
    assert found == space.defaults()


def test_the_best_of_each_search_comes_first_latest_search_first(
    space: Space, make_trial: MakeTrial
) -> None:
    former = [
        make_trial(2, 0.50, parameters=_c(1.2)),
        make_trial(1, 0.40, parameters=_c(1.1)),
        make_trial(0, 0.60, parameters=_c(1.0)),
        make_trial(1, 0.20, parameters=_c(2.1)),
        make_trial(0, 0.10, parameters=_c(2.0)),
        make_trial(0, 0.01, parameters=_c(3.0)),
    ]
    found = first_trials(space, former, metric="log_loss", limit=8)
    # Scores of two searches are not compared: they were had on other rows.
    assert [s.parameters for s in found[:2]] == [_c(1.1), _c(2.0)]
    assert found[2:] == space.defaults()


def test_the_best_by_auc_is_the_greatest(space: Space, make_trial: MakeTrial) -> None:
    former = [make_trial(1, 0.3, parameters=_c(2)), make_trial(0, 0.4, parameters=_c(3))]
    (best, *_) = first_trials(space, former, metric="roc_auc", limit=4)
    assert best.parameters == _c(2)


def test_failed_trials_and_what_is_no_longer_declared_are_left_out(
    space: Space, make_trial: MakeTrial
) -> None:
    former = [
        make_trial(3, None, parameters=_c(1.0)),
        make_trial(2, 0.1, parameters=_c(99.0)),
        make_trial(1, 0.1, algorithm="random_forest", parameters={}),
        make_trial(0, 0.9, parameters=_c(0.7)),
    ]
    (best, *_) = first_trials(space, former, metric="log_loss", limit=8)
    assert best.parameters == _c(0.7)


def test_the_first_trials_never_exceed_the_budget(space: Space, make_trial: MakeTrial) -> None:
    former = [make_trial(0, 0.1, parameters=_c(0.7))]
    (only,) = first_trials(space, former, metric="log_loss", limit=1)
    assert only.parameters == _c(0.7)


def test_a_default_that_was_the_best_before_is_tried_once(
    space: Space, make_trial: MakeTrial
) -> None:
    former = [make_trial(0, 0.1, parameters=_c(1.0))]
    found = first_trials(space, former, metric="log_loss", limit=8)
    assert [s.algorithm for s in found] == ["logistic_regression", "hist_gradient_boosting"]
