"""A plan's time, however fast the loop's time passes."""

import pytest

from kontinual.rollout import Plan
from kontinual.spec import Rollout

RULES = Rollout.model_validate({"step_duration": "3d", "step_timeout": "60d"})


def test_at_the_speed_of_the_wall_clock_a_plan_is_what_was_declared() -> None:
    plan = Plan.of(RULES)
    assert (plan.step_seconds, plan.timeout_seconds) == (3 * 86400, 60 * 86400)
    assert plan.weights == (5, 25, 50, 100)
    assert plan.poll_seconds == 15


@pytest.mark.parametrize("speedup", [2, 1e3, 1e6, 1e9])
def test_a_step_lasts_seconds_at_any_speed_and_can_end_before_it_must(speedup: float) -> None:
    plan = Plan.of(RULES, speedup=speedup)
    assert plan.step_seconds >= 3
    assert 0.5 <= plan.poll_seconds <= 15
    assert plan.timeout_seconds >= max(30, 2 * plan.step_seconds)


def test_a_slow_machine_has_minutes_to_gather_requests_at_any_speed() -> None:
    assert Plan.of(RULES, speedup=226_800).timeout_seconds == 120


@pytest.mark.parametrize("declared", ["45s", "90s", "10m"])
def test_no_speed_makes_a_timeout_longer_than_it_was_declared(declared: str) -> None:
    rules = Rollout.model_validate({"step_duration": "1s", "step_timeout": declared})
    slow, fast = Plan.of(rules), Plan.of(rules, speedup=1e6)
    assert fast.timeout_seconds == min(slow.timeout_seconds, 120)
