"""What the ledger asks of the policy beside the decision itself."""

from typing import Any

import pytest

from kontinual.spec import Loop
from kontinual.trigger import Evidence, Policy, RunKind, Source, Wish
from kontinual.trigger.policy import PolicyJudge, run_id_of
from tests.unit.trigger.conftest import NOW, trigger_of


def test_where_a_rollback_goes_is_fixed_when_it_is_accepted(loop: Loop) -> None:
    judge = PolicyJudge(Policy(loop), {1: Evidence(former="3")})
    assert judge.wish(trigger_of("prediction_drift")).version == "3"
    named = trigger_of(None, wish=Wish(kind=RunKind.ROLLBACK, version="2"))
    assert judge.wish(named).version == "2"


@pytest.mark.parametrize(
    ("alert", "more", "joins"),
    [
        ("quality_decay", {}, True),
        ("quality_decay", {"resolved_at": NOW}, False),
        ("low_confidence", {}, False),  # only notifies
        ("prediction_drift", {}, False),  # rolls back
        (None, {"source": Source.NEW_DATA}, True),
        (None, {"wish": Wish(seed=3)}, False),
        (None, {"wish": Wish(kind=RunKind.ROLLBACK)}, False),
    ],
)
def test_a_run_answers_those_alone_who_asked_for_the_same(
    loop: Loop, alert: str | None, more: dict[str, Any], joins: bool
) -> None:
    accepted = trigger_of("feature_drift")
    assert PolicyJudge(Policy(loop), {}).joins(trigger_of(alert, **more), accepted) is joins


def test_a_run_id_names_loop_moment_and_trigger(loop: Loop) -> None:
    assert run_id_of(loop, 7, NOW) == "toy-20260110t120000-7"
