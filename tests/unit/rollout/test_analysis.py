"""What a step's counts come to, check by check."""

import numpy as np
import pytest

from kontinual.errors import MetricsUnavailable
from kontinual.rollout import Comparison, Tally, Verdict, judge
from kontinual.rollout.analysis import quantile
from kontinual.rollout.sequential import Sample
from kontinual.spec import Rollout

RULES = Rollout(min_requests=60)


def tally(
    requests: int,
    *,
    errors: int = 0,
    score: float = 0.3,
    slow: int = 0,
    seconds: float = 0.01,
) -> Tally:
    """Counts of a version; `slow` requests took between 0.5 and 1 second."""
    counts = {"requests": requests, "errors": errors, "score_sum": score * (requests - errors)}
    counts[f"score|{min(int(score * 20), 19)}"] = requests - errors
    for bound in (0.005, 0.01, 0.025, 0.1, 0.5):
        counts[f"latency|{bound}"] = requests - slow if bound >= seconds else 0
    counts |= {"latency|1.0": requests, "latency|inf": requests}
    return Tally(counts=counts)


def verdict(canary: Tally, stable: Tally, **options: object) -> Verdict:
    return judge(Comparison(canary, stable), rules=RULES, **options).verdict  # type: ignore[arg-type]


def test_two_equal_versions_pass() -> None:
    assert verdict(tally(60), tally(1000)) is Verdict.PASSED


@pytest.mark.parametrize(("canary", "stable"), [(0, 0), (59, 1000), (1000, 59), (0, 1000)])
def test_too_few_requests_of_either_version_are_inconclusive(canary: int, stable: int) -> None:
    judged = judge(Comparison(tally(canary), tally(stable)), rules=RULES)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "of 60" in judged.reason


def test_errors_fail_as_soon_as_they_are_shown_to_be_more() -> None:
    assert verdict(tally(30, errors=15), tally(500)) is Verdict.FAILED
    assert verdict(tally(100, errors=4), tally(2000)) is Verdict.INCONCLUSIVE
    assert verdict(tally(100, errors=1), tally(2000)) is Verdict.PASSED


def test_errors_that_both_versions_have_are_not_the_canarys() -> None:
    assert verdict(tally(200, errors=60), tally(2000, errors=600)) is Verdict.PASSED


def test_a_gap_of_scores_fails_in_both_directions() -> None:
    assert verdict(tally(80, score=0.72), tally(1000, score=0.28)) is Verdict.FAILED
    assert verdict(tally(80, score=0.28), tally(1000, score=0.72)) is Verdict.FAILED
    assert verdict(tally(80, score=0.38), tally(1000, score=0.28)) is Verdict.PASSED


@pytest.mark.parametrize(("stable", "learned"), [(0.28, 0.7), (0.7, 0.28)])
def test_a_canary_that_learned_another_share_of_positives_scores_as_it_was_evaluated(
    stable: float, learned: float
) -> None:
    champion, gap = tally(1000, score=stable), learned - stable
    assert verdict(tally(80, score=learned), champion, score_gap=gap) is Verdict.PASSED
    assert verdict(tally(80, score=stable), champion, score_gap=gap) is Verdict.FAILED
    assert verdict(tally(80, score=learned), champion, score_gap=-gap) is Verdict.FAILED


def test_a_canary_that_answers_nothing_useful_never_passes() -> None:
    """4xx answers carry no score: however many, the step stays inconclusive."""
    refusing = Tally(counts={"requests": 5000.0})
    assert verdict(refusing, tally(5000)) is Verdict.INCONCLUSIVE


def test_evidence_of_earlier_steps_counts() -> None:
    little = Comparison(tally(60, errors=9), tally(1000))
    assert verdict(*little) is Verdict.INCONCLUSIVE
    assert verdict(*little, earlier=[little, little]) is Verdict.FAILED


def test_a_slow_canary_fails() -> None:
    judged = judge(Comparison(tally(300, slow=60), tally(2000)), rules=RULES)
    assert judged.verdict is Verdict.FAILED
    assert "60 of 300 canary requests took over 25 ms" in judged.reason


def test_differences_below_what_anyone_notices_never_fail_it() -> None:
    assert verdict(tally(5000, seconds=0.01), tally(5000, seconds=0.005)) is Verdict.PASSED


def test_a_p99_of_few_requests_is_not_spoken_of() -> None:
    latency = judge(Comparison(tally(70, slow=1), tally(1000)), rules=RULES).checks[1]
    assert (latency.name, latency.verdict) == ("latency", Verdict.UNJUDGED)


SIDES = Comparison(tally(60), tally(1000))


def losses(labels: int, mean: float, *, spread: float = 0.5) -> Sample:
    """Log losses of this mean and spread."""
    return Sample(labels, labels * mean, labels * (mean**2 + spread**2))


def test_log_loss_speaks_only_with_enough_labels() -> None:
    few = [(losses(20, 3.0), losses(900, 0.4))]
    assert verdict(*SIDES, outcomes=few) is Verdict.PASSED
    judged = judge(SIDES, rules=RULES, outcomes=[(losses(300, 1.0), losses(900, 0.4))])
    assert judged.verdict is Verdict.FAILED
    assert judged.reason.startswith("log loss 1.000 over 300 labels against 0.400 over 900")
    doubtful = [(losses(300, 0.48), losses(900, 0.4))]
    assert verdict(*SIDES, outcomes=doubtful) is Verdict.INCONCLUSIVE


def test_log_losses_are_compared_within_steps() -> None:
    """Simpson's paradox: calm hours at few percent, stormy ones at half of the traffic."""
    calm, stormy = (losses(50, 0.2), losses(950, 0.2)), (losses(900, 0.65), losses(900, 0.65))
    (check,) = (
        check
        for check in judge(SIDES, rules=RULES, outcomes=[calm, stormy]).checks
        if check.name == "log_loss"
    )
    assert check.verdict is Verdict.PASSED
    assert "log loss 0.626 over 950 labels against 0.626 over 1850" in check.reason


def test_without_the_collector_a_step_waits_and_says_why() -> None:
    judged = judge(SIDES, rules=RULES, outcomes=MetricsUnavailable("no answer from the collector"))
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reason == "no answer from the collector"
    failing = Comparison(tally(60, errors=40), tally(1000))
    judged = judge(failing, rules=RULES, outcomes=MetricsUnavailable("no answer"))
    assert judged.verdict is Verdict.FAILED  # what is shown need not wait for it


def test_alone_with_all_the_traffic_the_canary_is_held_to_the_errors_of_before() -> None:
    shared = Comparison(tally(500), tally(500))
    alone = {"earlier": [shared], "concurrent": False}
    assert verdict(tally(100), Tally(), **alone) is Verdict.PASSED
    assert verdict(tally(100, errors=30), Tally(), **alone) is Verdict.FAILED
    assert verdict(tally(20), Tally(), **alone) is Verdict.INCONCLUSIVE
    assert verdict(tally(100, score=0.9), Tally(), **alone) is Verdict.PASSED  # hours differ


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_errors_that_the_stable_version_had_as_often_do_not_fail_the_canary_alone(
    rate: float,
) -> None:
    """Few stable requests know the rate badly; looked at 60 times with all the traffic."""
    random = np.random.default_rng(5)
    failed = 0
    for _ in range(150):
        before = [tally(60, errors=random.binomial(60, rate)) for _ in range(2)]
        shared = {"earlier": [Comparison(*before)], "concurrent": False}
        errors = (random.random(3000) < rate).cumsum()
        failed += any(
            verdict(tally(n, errors=errors[n - 1]), Tally(), **shared) is Verdict.FAILED
            for n in range(50, 3001, 50)
        )
    assert failed / 150 <= RULES.alpha / 5


@pytest.mark.parametrize("rate", [0.015, 0.03])
def test_slow_answers_that_the_stable_version_had_as_often_do_not_fail_the_canary(
    rate: float,
) -> None:
    random = np.random.default_rng(6)
    failed = 0
    for _ in range(150):
        before = [tally(150, slow=random.binomial(150, rate)) for _ in range(2)]
        shared = {"earlier": [Comparison(*before)], "concurrent": False}
        slow = (random.random(3000) < rate).cumsum()
        failed += any(
            verdict(tally(n, slow=slow[n - 1]), Tally(), **shared) is Verdict.FAILED
            for n in range(100, 3001, 100)
        )
    assert failed / 150 <= RULES.alpha / 5


def test_alone_a_p99_needs_as_many_stable_requests_as_beside_them() -> None:
    def latency(stable: int) -> Verdict:
        shared = Comparison(tally(stable), tally(stable))
        canary = Comparison(tally(1000, slow=60), Tally())
        judged = judge(canary, rules=RULES, earlier=[shared], concurrent=False)
        return next(check.verdict for check in judged.checks if check.name == "latency")

    assert latency(99) is Verdict.UNJUDGED
    assert latency(100) is Verdict.FAILED


def test_a_plan_of_one_step_is_judged_by_errors_alone() -> None:
    assert verdict(tally(100), Tally(), concurrent=False) is Verdict.PASSED
    assert verdict(tally(100, errors=30), Tally(), concurrent=False) is Verdict.FAILED


def test_identical_versions_are_rolled_back_less_often_than_alpha() -> None:
    """The whole judgement, looked at 40 times, on versions that share every trait."""
    random = np.random.default_rng(11)
    failed = 0
    for _ in range(150):
        sides = [np.zeros(4), np.zeros(4)]
        for _ in range(40):
            for side, count in enumerate(random.multinomial(50, [0.25, 0.75])):
                errors = random.binomial(count, 0.03)
                scores = random.beta(2, 5, count - errors)
                sides[side] += [count, errors, scores.sum(), (scores**2).sum()]
            canary, stable = (_tally_of(side) for side in sides)
            if verdict(canary, stable) is Verdict.FAILED:
                failed += 1
                break
    assert failed / 150 <= RULES.alpha


def _tally_of(side: np.ndarray) -> Tally:
    """Scores in two bins with the mean and about the spread of the rows."""
    requests, errors, total, _ = side
    rows = requests - errors
    return Tally(
        counts={
            "requests": requests,
            "errors": errors,
            "score_sum": total,
            "score|2": rows / 2,
            "score|8": rows / 2,
        }
    )


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_quantile_is_prometheus_histogram_quantile(share: float) -> None:
    """Linear within a bucket, as documented for Prometheus' histogram_quantile."""
    bounds = [0.1, 0.2, 0.5, float("inf")]
    cumulated = [10.0, 60.0, 100.0, 100.0]
    expected = np.interp(share * 100, [0, 10, 60, 100], [0, 0.1, 0.2, 0.5])
    assert quantile(list(zip(bounds, cumulated, strict=True)), share) == pytest.approx(expected)


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_of_nothing_zero() -> None:
    assert quantile([(0.1, 50.0), (float("inf"), 100.0)], 0.99) == 0.1
    assert quantile([], 0.99) == 0
    assert quantile([(0.1, 0.0), (float("inf"), 0.0)], 0.99) == 0
