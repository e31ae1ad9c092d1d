"""How a run's outcome follows from what its steps wrote down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.spec import Outcome
from kontinual.steps.record import STEPS, conclude

DONE = {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z"}


def notes(**changes):
    """The notes of a promoted run, with some of them changed; None takes a step away."""
    whole = {step: dict(DONE) for step in STEPS}
    whole["validate"] |= {"accepted": True, "reasons": []}
    whole["evaluate"] |= {"blessed": True, "reason": "better"}
    whole["rollout"] |= {"outcome": "promoted", "reason": "every step passed"}
    for step, change in changes.items():
        if change is None:
            del whole[step]
        else:
            whole[step] |= change
    return whole


def test_a_run_whose_steps_all_passed_is_what_its_rollout_says():
    assert conclude(notes()) == (Outcome.PROMOTED, "every step passed")
    rolled_back = notes(rollout={"outcome": "rolled_back", "reason": "scores differ"})
    assert conclude(rolled_back) == (Outcome.ROLLED_BACK, "scores differ")


def test_refused_data_ends_the_run_with_the_validators_words_and_what_a_person_can_do():
    refused = notes(
        validate={"accepted": False, "reasons": ["distance: km", "temp: °C"], "span": 7},
        tune=None, train=None, evaluate=None, rollout=None,
    )  # fmt: skip
    person = "`kontinual span accept` span 7, then `kontinual run`"
    why = f"distance: km; temp: °C; right all the same? {person}"
    assert conclude(refused) == (Outcome.REJECTED_DATA, why)


def test_a_refused_challenger_ends_the_run_with_the_gates_words():
    refused = notes(evaluate={"blessed": False, "reason": "log loss rose"}, rollout=None)
    assert conclude(refused) == (Outcome.REJECTED_MODEL, "log loss rose")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_with_an_error_makes_the_run_failed(step):
    whole = notes(**{step: {"error": "OSError: disk full"}})
    whole["rollout"].pop("outcome")
    outcome, reason = conclude(whole)
    assert outcome is Outcome.FAILED
    assert reason == f"{step}: OSError: disk full"


@given(st.sampled_from(STEPS))
def test_a_step_that_was_killed_makes_the_run_failed(step):
    whole = notes()
    del whole[step]["ended_at"]
    whole["rollout"].pop("outcome")
    assert conclude(whole) == (Outcome.FAILED, f"{step}: it was killed or never came to its end")


def test_a_rollout_that_said_how_it_went_is_believed_whatever_came_after():
    late = notes(rollout={"error": "TrackingError: 503"})
    assert conclude(late) == (Outcome.PROMOTED, "every step passed")
    del late["rollout"]["ended_at"]
    assert conclude(late) == (Outcome.PROMOTED, "every step passed")


@given(st.sampled_from(STEPS))
def test_a_step_that_never_started_makes_the_run_failed(step):
    assert conclude(notes(**{step: None})) == (Outcome.FAILED, f"{step}: it never started")
