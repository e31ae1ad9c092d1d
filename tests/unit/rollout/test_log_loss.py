"""What labels come to, and how the chance of a false alarm is shared out."""

import math

import numpy as np
import pytest

from kontinual.rollout import Comparison, Tally, Verdict, judge
from kontinual.rollout.analysis import WORST_LOG_LOSS, Check, Stratum
from kontinual.rollout.sequential import Sample, rise_evidence
from kontinual.spec import Rollout

RULES = Rollout(min_requests=60)
LIMIT = RULES.checks.max_log_loss_rise
TESTS = 5  # errors twice, latency, scores, log loss


def sample(values: np.ndarray) -> Sample:
    return Sample(len(values), float(values.sum()), float((values**2).sum()))


def check(name: str, step: Comparison, outcomes: list[Stratum]) -> Check:
    found = judge(step, rules=RULES, outcomes=outcomes).checks
    return next(c for c in found if c.name == name)


def log_loss(*outcomes: Stratum) -> Verdict:
    return check("log_loss", Comparison(Tally(), Tally()), list(outcomes)).verdict


@pytest.mark.parametrize("labels", range(100, 1100, 100))
def test_a_rise_fails_once_it_is_shown_on_the_scale_of_the_worst_loss(labels: int) -> None:
    rng = np.random.default_rng(3)
    stable = rng.gamma(2, 0.2, 20_000)
    canary = rng.gamma(2, 0.2, labels) + 2.5 * LIMIT
    evidence = rise_evidence(
        [(sample(canary / WORST_LOG_LOSS), sample(stable / WORST_LOG_LOSS))],
        limit=LIMIT / WORST_LOG_LOSS,
    )
    shown = evidence >= math.log(TESTS / RULES.alpha)
    assert (log_loss((sample(canary), sample(stable))) is Verdict.FAILED) == shown


def test_a_rise_that_is_not_shown_is_waited_for_only_with_labels_enough() -> None:
    rng = np.random.default_rng(5)
    stable = sample(rng.gamma(0.2, 2, 20_000))
    few, enough = (sample(np.tile([0.0, 0.0, 0.0, 1.9], n // 4)) for n in (196, 200))
    assert few.mean - stable.mean > LIMIT
    assert log_loss((few, stable)) is Verdict.UNJUDGED
    assert log_loss((enough, stable)) is Verdict.INCONCLUSIVE


def test_a_step_weighs_as_much_as_its_smaller_side_lets_it_tell() -> None:
    many, some = np.full(1000, 0.3), np.full(40, 0.3)
    worse, better = (sample(many + 0.2), sample(some)), (sample(some), sample(many + 0.2))
    assert log_loss(worse, better) is Verdict.PASSED


@pytest.mark.parametrize("higher", [True, False])
def test_scores_share_their_part_of_alpha_among_both_directions(higher: bool) -> None:
    def scored(rows: int, score: float) -> Tally:
        return Tally(counts={f"score|{int(score * 20)}": rows, "score_sum": score * rows})

    def step(rows: int) -> Comparison:
        moved = 0.72 if higher else 0.28
        return Comparison(scored(rows, moved), scored(1000, 1 - moved))

    first = next(n for n in range(1, 200) if check("scores", step(n), []).verdict == "failed")
    limit, needed = RULES.checks.max_mean_score_gap, math.log(2 * TESTS / RULES.alpha)
    for rows, shown in ((first - 1, False), (first, True)):
        pair = [side.scores for side in step(rows)]
        evidence = rise_evidence([tuple(pair if higher else pair[::-1])], limit=limit)
        assert (evidence >= needed) == shown
