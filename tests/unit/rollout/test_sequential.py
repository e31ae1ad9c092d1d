"""The promise of the tests: look as often as you like."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from kontinual.rollout.sequential import Sample, excess_evidence, rise_evidence

LOOKS = 40


def bernoulli(count: float, hits: float) -> Sample:
    return Sample(count, hits, hits)


def alarms(
    *, canary: float, stable: float, limit: float, share: float, per_look: int, alpha: float = 0.05
) -> float:
    """Share of 400 simulated rollouts with an alarm at one of the looks."""
    random = np.random.default_rng(7)
    size = (400, LOOKS)
    canaries = random.binomial(per_look, share, size)
    stables = per_look - canaries
    canary_hits = random.binomial(canaries, canary).cumsum(axis=1)
    stable_hits = random.binomial(stables, stable).cumsum(axis=1)
    canaries, stables = canaries.cumsum(axis=1), stables.cumsum(axis=1)
    raised = 0
    for run in range(len(canaries)):
        raised += any(
            rise_evidence(
                [
                    (
                        bernoulli(canaries[run, look], canary_hits[run, look]),
                        bernoulli(stables[run, look], stable_hits[run, look]),
                    )
                ],
                limit=limit,
            )
            >= math.log(1 / alpha)
            for look in range(LOOKS)
        )
    return raised / len(canaries)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize(("share", "per_look"), [(0.05, 200), (0.5, 20), (0.5, 200)])
def test_forty_looks_raise_no_more_false_alarms_than_alpha(
    rate: float, share: float, per_look: int
) -> None:
    """At the very border of the hypothesis, limit 0 and equal rates, where alarms are likeliest."""
    rated = alarms(canary=rate, stable=rate, limit=0, share=share, per_look=per_look)
    assert rated <= 0.05


@pytest.mark.parametrize("limit", [0.02, 0.1])
def test_a_difference_within_the_limit_raises_no_more_alarms_than_alpha(limit: float) -> None:
    rated = alarms(canary=0.05 + limit, stable=0.05, limit=limit, share=0.5, per_look=200)
    assert rated <= 0.05


def test_a_fixed_test_repeated_at_each_look_would_break_that_promise() -> None:
    """What all this is for: the naive z-test on the same stream."""
    random = np.random.default_rng(7)
    canary = random.binomial(10, 0.05, (400, LOOKS)).cumsum(axis=1)
    stable = random.binomial(10, 0.05, (400, LOOKS)).cumsum(axis=1)
    count = 10 * np.arange(1, LOOKS + 1)
    pooled = (canary + stable) / (2 * count)
    spread = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / count, 1e-12))
    rejected = (canary - stable) / count / spread > stats.norm.isf(0.05)
    assert rejected.any(axis=1).mean() > 0.15


def test_five_points_of_errors_are_found() -> None:
    found = alarms(canary=0.06, stable=0.01, limit=0.0, share=0.25, per_look=100)
    assert found >= 0.98
    beyond_the_limit = alarms(canary=0.07, stable=0.0, limit=0.02, share=0.5, per_look=100)
    assert beyond_the_limit >= 0.98


def test_inverted_scores_are_found_within_a_hundred_requests() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        stable = random.beta(2, 6, 1900)
        canary = 1 - random.beta(2, 6, 100)
        sides = [Sample(len(x), x.sum(), (x**2).sum()) for x in (canary, stable)]
        evidence = rise_evidence([(sides[0], sides[1])], limit=0.15)
        assert evidence > math.log(100 / 0.05)


def test_a_change_of_the_mix_between_steps_is_no_difference_between_versions() -> None:
    """Simpson's paradox: both versions are equal in each step, not in the sum of both."""
    night = (bernoulli(50, 25), bernoulli(950, 475))
    day = (bernoulli(500, 25), bernoulli(500, 25))
    assert rise_evidence([night, day], limit=0.0) < 0
    pooled = (bernoulli(550, 50), bernoulli(1450, 500))
    assert rise_evidence([tuple(reversed(pooled))], limit=0.0) > math.log(1e6)  # type: ignore[list-item]


def test_without_observations_there_is_no_evidence() -> None:
    assert rise_evidence([(bernoulli(0, 0), bernoulli(10, 5))], limit=0.0) == pytest.approx(0)
    assert rise_evidence([], limit=0.0) == pytest.approx(0)


@given(
    hits=st.integers(0, 60), misses=st.integers(0, 60), share=st.floats(0.01, 0.9, allow_nan=False)
)
@settings(max_examples=60, deadline=None)
def test_excess_evidence_is_the_averaged_likelihood_ratio(
    hits: int, misses: int, share: float
) -> None:
    """The closed form against numerical integration of the definition."""

    def ratio(chance: float) -> float:
        return math.exp(
            hits * math.log(chance / share) + misses * math.log((1 - chance) / (1 - share))
        )

    peak = min(max(hits / max(hits + misses, 1), share), 1 - 1e-9)
    area, _ = integrate.quad(ratio, share, 1 - 1e-12, points=[peak], limit=200)
    assert excess_evidence(hits, hits + misses, share=share) == pytest.approx(
        math.log(area / (1 - share)), rel=1e-4, abs=1e-4
    )


def test_excess_evidence_keeps_its_promise_over_every_request() -> None:
    random = np.random.default_rng(5)
    slow = random.random((300, 400)) < 0.01
    hits = slow.cumsum(axis=1)
    raised = sum(
        any(excess_evidence(row[n - 1], n, share=0.01) >= math.log(20) for n in range(10, 401, 10))
        for row in hits
    )
    assert raised / len(hits) <= 0.05


@given(count=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_variance_of_a_mean_is_never_taken_for_zero(count: int, share: float) -> None:
    hits = round(count * share)
    sample = bernoulli(count, hits)
    assert sample.mean_variance > 0
    assert 0 <= sample.mean <= 1


@pytest.mark.parametrize("seen", [[0.0], [0.0] * 30, [1.0] * 30, [0.0, 0.2, 0.9]])
def test_the_variance_is_that_with_one_observation_more_at_each_end(seen: list[float]) -> None:
    sample = Sample(len(seen), sum(seen), sum(x * x for x in seen))
    assert sample.mean_variance == pytest.approx(np.var([*seen, 0.0, 1.0]) / len(seen))
