"""Counters that begin, grow, fall and vanish."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.model import score_bins
from kontinual.rollout import CounterWatch, Tally


def watch(**last: dict[str, float]) -> CounterWatch:
    return CounterWatch(last={name.removeprefix("v"): counts for name, counts in last.items()})


def test_only_what_came_since_the_first_reading_counts() -> None:
    followed = watch(v1={"a|requests": 100})
    followed.update({"1": {"a|requests": 130}}, new="2")
    followed.update({"1": {"a|requests": 150}}, new="2")
    assert followed.tally("1").requests == 50


def test_a_new_version_begins_at_zero_even_if_it_was_first_seen_late() -> None:
    followed = watch(v1={"a|requests": 100})
    followed.update({"1": {"a|requests": 100}, "2": {"b|requests": 7}}, new="2")
    assert followed.tally("2").requests == 7


def test_a_restarted_predictor_loses_nothing() -> None:
    followed = watch(v2={"a|requests": 90})
    followed.update({"2": {"a|requests": 100}}, new="2")
    followed.update({"2": {"a|requests": 4}}, new="2")
    assert followed.tally("2").requests == 14


def test_an_instance_that_can_not_be_scraped_for_a_while_is_no_restart() -> None:
    followed = watch(v1={"a|requests": 100})
    followed.update({"1": {}}, new="2")
    followed.update({"1": {"a|requests": 120}}, new="2")
    assert followed.tally("1").requests == 20


def test_an_instance_that_can_not_be_scraped_when_a_step_begins_does_not_count_its_past() -> None:
    before = watch(v1={"a|requests": 100}, v2={})
    before.update({"1": {"a|requests": 200}, "2": {"b|requests": 90}}, new="2")
    followed = CounterWatch.after(before, {"1": {}, "2": {}})
    followed.update({"1": {"a|requests": 205}, "2": {"b|requests": 97}}, new="2")
    assert (followed.tally("1").requests, followed.tally("2").requests) == (5, 7)


def test_the_past_of_a_stable_replica_seen_late_does_not_count() -> None:
    followed = watch(v1={"a|requests": 100})
    followed.update({"1": {"a|requests": 100, "b|requests": 90_000}}, new="2")
    followed.update({"1": {"a|requests": 110, "b|requests": 90_005}}, new="2")
    assert followed.tally("1").requests == 15


def test_the_first_error_of_a_known_instance_counts() -> None:
    followed = watch(v1={"a|requests": 100})
    followed.update({"1": {"a|requests": 101, "a|errors": 1}}, new="2")
    assert followed.tally("1").errors == 1


def test_replicas_are_added_up() -> None:
    followed = watch(v2={})
    followed.update({"2": {"a|score|3": 5, "b|score|3": 6}}, new="2")
    assert followed.tally("2").of("score|3") == 11


def test_a_watch_survives_being_written_down() -> None:
    followed = watch(v1={"a|requests": 1})
    followed.update({"1": {"a|requests": 3}}, new="2")
    again = CounterWatch.model_validate_json(followed.model_dump_json())
    again.update({"1": {"a|requests": 4}}, new="2")
    assert again.tally("1").requests == 3


@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.sets(st.integers(0, 29)))
def test_growth_is_complete_whatever_restarts_between_readings(
    growths: list[float], restarts: set[int]
) -> None:
    """An oracle that adds up by itself, against readings that fall back to zero."""
    followed, value = watch(v2={}), 0.0
    for index, growth in enumerate(growths):
        # A restart shows only when the counter has not yet grown past where it was.
        value = growth if index in restarts and growth < value else value + growth
        followed.update({"2": {"a|requests": value}}, new="2")
    assert followed.tally("2").requests == pytest.approx(sum(growths))


def test_mean_and_spread_of_scores_come_close_to_those_of_the_rows() -> None:
    scores = np.random.default_rng(1).beta(2, 5, 5000)
    binned = np.bincount(score_bins(scores), minlength=20)
    tally = Tally(
        counts={"score_sum": scores.sum()} | {f"score|{i}": n for i, n in enumerate(binned)}
    )
    assert tally.scores.mean == pytest.approx(scores.mean())
    assert tally.scores.mean_variance == pytest.approx(scores.var() / 5000, rel=0.05)


def test_an_empty_tally_is_all_zero() -> None:
    empty = Tally()
    assert empty.requests == empty.errors == empty.scores.mean == 0
    assert empty.latencies == []
    assert math.isfinite(empty.scores.mean_variance)
