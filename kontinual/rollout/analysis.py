"""Is the canary as good as the stable version that answered at the same time?

Each check states a hypothesis of the form "the canary is at most so much worse"
and fails when the evidence against it is enough to be sure of, however often one
looks (see `kontinual.rollout.sequential`). The chance of a false alarm `alpha` is
shared out evenly among the checks, and covers a whole rollout. A check passes
when there is enough data and what was measured lies within the limit. Anything
between the two is inconclusive: a step waits for more data, and in the end rolls back.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel

from kontinual.errors import MetricsUnavailable
from kontinual.rollout.counts import Comparison, Tally
from kontinual.rollout.sequential import Sample, excess_evidence, rise_evidence
from kontinual.spec import Rollout

__all__ = ["SCORE_CLIP", "Check", "Judgement", "Stratum", "Verdict", "judge", "quantile"]

TESTS = 5  # errors beside the stable version, errors alone, latency, scores, log loss
SLOW_SHARE = 0.01  # above a 99th percentile
MIN_LATENCY_REQUESTS = 100  # below, a 99th percentile is the slowest request
UNNOTICED_SECONDS = 0.020  # nobody waits for less, and tiny latencies double by chance
MIN_OUTCOMES_TO_FAIL = 30  # below, a mean of log losses is far from normal
MIN_OUTCOMES_TO_WAIT = 200
SCORE_CLIP = 0.01
"""Of scores, before their log loss is taken: a few that were certain and wrong would cost 16
nats each otherwise, and who has seen none of them yet would seem sure to be better."""
WORST_LOG_LOSS = -math.log(SCORE_CLIP)

Stratum = tuple[Sample, Sample]
"""Canary and stable, observed at the same time."""


class Verdict(StrEnum):
    """What a check, or a step, comes to."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNJUDGED = "unjudged"  # a check alone: too little to speak of it, and nothing to wait for


class Check(BaseModel):
    """One check and why."""

    name: str
    verdict: Verdict
    reason: str


class Judgement(BaseModel):
    """A step's verdict: the worst of its checks'."""

    verdict: Verdict
    reason: str
    checks: list[Check]


def judge(
    step: Comparison,
    *,
    rules: Rollout,
    earlier: Sequence[Comparison] = (),
    outcomes: Sequence[Stratum] | MetricsUnavailable = (),
    score_gap: float = 0.0,
    concurrent: bool = True,
) -> Judgement:
    """Judge a step by what was counted so far.

    Args:
        step: both versions since the step began.
        rules: the declaration's limits.
        earlier: the same for each step before that both versions shared.
        outcomes: log losses of what both versions predicted in each step, as far as labels
            are in; or why they can not be had.
        score_gap: mean score of the canary less the stable version's in the evaluation. Where the
            share of positives has moved, a version that learned it scores otherwise, and should.
        concurrent: False when the canary has all the traffic, and `step` has no stable side.
            Errors and latency are then compared with the stable version of the steps
            before; scores, which follow the hour, are not.
    """
    pooled = Comparison(*(Tally.summed(side) for side in zip(*[*earlier, step], strict=True)))
    checks = [
        _errors(step, earlier, rules)
        if concurrent
        else _errors_alone(step.canary.failures, pooled.stable.failures, rules),
        _latency(step if concurrent else Comparison(step.canary, pooled.stable), pooled, rules),
        _scores(step, earlier, rules, score_gap)
        if concurrent
        else Check(name="scores", verdict=Verdict.UNJUDGED, reason="no stable scores beside it"),
        _log_loss(outcomes, rules),
    ]
    for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE):
        found = [c for c in checks if c.verdict is verdict]
        if found:
            return Judgement(
                verdict=verdict, reason="; ".join(c.reason for c in found), checks=checks
            )
    reason = "; ".join(c.reason for c in checks if c.verdict is Verdict.PASSED)
    return Judgement(verdict=Verdict.PASSED, reason=reason, checks=checks)


def quantile(latencies: Sequence[tuple[float, float]], share: float) -> float:
    """A quantile of a cumulative histogram, as Prometheus' `histogram_quantile` has it; else 0."""
    total = latencies[-1][1] if latencies else 0.0
    low = below = 0.0
    for bound, cumulated in latencies:
        if total > 0 and cumulated >= share * total:
            inside = cumulated - below
            if math.isinf(bound) or inside <= 0:
                return low
            return low + (bound - low) * (share * total - below) / inside
        low, below = bound, cumulated
    return 0.0


def _errors(step: Comparison, earlier: Sequence[Comparison], rules: Rollout) -> Check:
    limit = rules.checks.max_error_rate_rise
    strata = [(c.canary.failures, c.stable.failures) for c in (*earlier, step)]
    canary, stable = step.canary.failures, step.stable.failures
    seen = (
        f"{_percent(canary.mean)} of {canary.count:.0f} canary requests failed, "
        f"{_percent(stable.mean)} of {stable.count:.0f} stable ones (limit +{_percent(limit)})"
    )
    if _shown(rise_evidence(strata, limit=limit), rules):
        return Check(name="errors", verdict=Verdict.FAILED, reason=seen)
    return (
        _waiting("errors", canary, "canary", rules)
        or _waiting("errors", stable, "stable", rules)
        or _within("errors", canary.mean - stable.mean <= limit, seen)
    )


def _errors_alone(canary: Sample, stable: Sample, rules: Rollout) -> Check:
    """Compared with all that failed in the steps before, or with none if there were no steps."""
    limit = rules.checks.max_error_rate_rise
    allowed = min(stable.mean + max(limit, 1e-6), 0.999)
    seen = (
        f"{_percent(canary.mean)} of {canary.count:.0f} requests failed (limit {_percent(allowed)})"
    )
    evidence = (
        rise_evidence([(canary, stable)], limit=limit)
        if stable.count
        else excess_evidence(canary.total, canary.count, share=allowed)
    )
    if _shown(evidence, rules):
        return Check(name="errors", verdict=Verdict.FAILED, reason=seen)
    return _waiting("errors", canary, "canary", rules) or _within(
        "errors", canary.mean <= allowed, seen
    )


def _scores(
    step: Comparison, earlier: Sequence[Comparison], rules: Rollout, expected: float
) -> Check:
    """Hypothesis: the canary scores as far from the stable version as it did in the evaluation."""
    limit = rules.checks.max_mean_score_gap
    strata = [(c.canary.scores, c.stable.scores) for c in (*earlier, step)]
    mirrored = [(stable, canary) for canary, stable in strata]
    canary, stable = strata[-1]
    gap = canary.mean - stable.mean
    seen = (
        f"mean score {canary.mean:.3f} against {stable.mean:.3f} "
        f"(evaluated {expected:+.3f}, limit ±{limit:g})"
    )
    for side, most in ((strata, limit + expected), (mirrored, limit - expected)):
        if _shown(rise_evidence(side, limit=most), rules, sides=2):
            return Check(name="scores", verdict=Verdict.FAILED, reason=seen)
    return (
        _waiting("scores", canary, "canary", rules)
        or _waiting("scores", stable, "stable", rules)
        or _within("scores", abs(gap - expected) <= limit, seen)
    )


def _latency(step: Comparison, pooled: Comparison, rules: Rollout) -> Check:
    """Hypothesis: at most 1 % of canary requests are slower than the limit on the p99.

    A p99 of few stable requests misses slow ones that come now and then, so the canary
    has to have 1 % more of them than the stable version, too.
    """
    canary, stable, limit = _slow(pooled, rules.checks.max_p99_ratio)
    evidence = min(
        excess_evidence(canary.total, canary.count, share=SLOW_SHARE),
        rise_evidence([(canary, stable)], limit=SLOW_SHARE),
    )
    if _count(pooled.stable) >= MIN_LATENCY_REQUESTS and _shown(evidence, rules):
        reason = (
            f"{canary.total:.0f} of {canary.count:.0f} canary requests took over "
            f"{_milliseconds(limit)}, {rules.checks.max_p99_ratio:g} times the stable "
            "99th percentile"
        )
        return Check(name="latency", verdict=Verdict.FAILED, reason=reason)
    if min(_count(step.canary), _count(step.stable)) < MIN_LATENCY_REQUESTS:
        return Check(name="latency", verdict=Verdict.UNJUDGED, reason="too few requests for a p99")
    slowest, usual = (quantile(side.latencies, 1 - SLOW_SHARE) for side in step)
    within = slowest <= max(rules.checks.max_p99_ratio * usual, UNNOTICED_SECONDS)
    reason = (
        f"p99 {_milliseconds(slowest)} against {_milliseconds(usual)} "
        f"(limit {rules.checks.max_p99_ratio:g} times)"
    )
    return _within("latency", within, reason)


def _log_loss(outcomes: Sequence[Stratum] | MetricsUnavailable, rules: Rollout) -> Check:
    """By steps, too: a label that comes late speaks of when its prediction was made."""
    if isinstance(outcomes, MetricsUnavailable):
        return Check(name="log_loss", verdict=Verdict.INCONCLUSIVE, reason=str(outcomes))
    strata = [pair for pair in outcomes if min(sample.count for sample in pair) > 0]
    canary, stable = (_summed([pair[side] for pair in strata]) for side in (0, 1))
    rows, limit = min(canary.count, stable.count), rules.checks.max_log_loss_rise
    if rows < MIN_OUTCOMES_TO_FAIL:
        return Check(name="log_loss", verdict=Verdict.UNJUDGED, reason="too few labels yet")
    rise = _rise(strata)
    seen = (
        f"log loss {canary.mean:.3f} over {canary.count:.0f} labels against "
        f"{canary.mean - rise:.3f} over {stable.count:.0f} of the same time (limit +{limit:g})"
    )
    shares = [(_share_of_worst(c), _share_of_worst(s)) for c, s in strata]
    if _shown(rise_evidence(shares, limit=limit / WORST_LOG_LOSS), rules):
        return Check(name="log_loss", verdict=Verdict.FAILED, reason=seen)
    if rise <= limit:
        return Check(name="log_loss", verdict=Verdict.PASSED, reason=seen)
    verdict = Verdict.INCONCLUSIVE if rows >= MIN_OUTCOMES_TO_WAIT else Verdict.UNJUDGED
    return Check(name="log_loss", verdict=verdict, reason=seen)


def _rise(strata: Sequence[Stratum]) -> float:
    """Mean difference, where each stratum weighs as much as its smaller side lets it tell."""
    weights = [c.count * s.count / (c.count + s.count) for c, s in strata]
    rises = [w * (c.mean - s.mean) for w, (c, s) in zip(weights, strata, strict=True)]
    return sum(rises) / sum(weights)


def _share_of_worst(losses: Sample) -> Sample:
    return Sample(losses.count, losses.total / WORST_LOG_LOSS, losses.squares / WORST_LOG_LOSS**2)


def _summed(samples: Sequence[Sample]) -> Sample:
    return Sample(sum(s.count for s in samples), sum(s.total for s in samples))


def _shown(evidence: float, rules: Rollout, *, sides: int = 1) -> bool:
    return evidence >= math.log(TESTS * sides / rules.alpha)


def _waiting(name: str, sample: Sample, side: str, rules: Rollout) -> Check | None:
    if sample.count >= rules.min_requests:
        return None
    reason = f"{name}: {sample.count:.0f} of {rules.min_requests} {side} answers so far"
    return Check(name=name, verdict=Verdict.INCONCLUSIVE, reason=reason)


def _within(name: str, within: bool, seen: str) -> Check:
    return Check(name=name, verdict=Verdict.PASSED if within else Verdict.INCONCLUSIVE, reason=seen)


def _count(tally: Tally) -> float:
    return tally.latencies[-1][1] if tally.latencies else 0.0


def _slow(pooled: Comparison, ratio: float) -> tuple[Sample, Sample, float]:
    """Each request as 1 (above the limit) or 0, and the limit: the next bound of the histogram."""
    wanted = max(ratio * quantile(pooled.stable.latencies, 1 - SLOW_SHARE), UNNOTICED_SECONDS)
    bounds = (bound for bound, _ in pooled.canary.latencies if bound >= wanted)
    limit = next(bounds, math.inf)
    return _above(pooled.canary, limit), _above(pooled.stable, limit), limit


def _above(tally: Tally, limit: float) -> Sample:
    below = max((count for bound, count in tally.latencies if bound <= limit), default=0.0)
    return Sample(_count(tally), _count(tally) - below, _count(tally) - below)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
