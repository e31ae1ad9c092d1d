"""Tests that may be looked at as often as one likes.

Notation: c canary, s stable, k a stratum (one step of a rollout), n observations,
d_k the difference of the means (c - s) in stratum k, v_k its variance,
I = sum of 1 / v_k (information), S = sum of (d_k - limit) / v_k, e evidence.

A fixed test that is repeated while data comes in rejects far too often. The
mixture sequential probability ratio test (Robbins 1970; for A/B tests Johari,
Koomen, Pekelis & Walsh, "Always Valid Inference", Operations Research 70(3),
2022) averages the likelihood ratio over alternatives: under the hypothesis its
evidence e stays below 1/alpha for ever with probability 1 - alpha (Ville's
inequality), so one may stop at any look.

Where this deviates from the paper: the hypothesis is one-sided and composite
(difference <= limit, hence a half-normal mixture over the excess), the variance
is estimated and pulled away from zero by one observation at each end of the
range, and steps are strata, so that a change of the traffic's mix between two
steps is no difference between two versions.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import betaincc, betaln, log_ndtr

__all__ = ["Sample", "excess_evidence", "rise_evidence"]

# Sizes of excess, in the unit of the mean, that are found fastest: slight and gross. An average of
# two mixtures is a mixture.
SCALES = (0.05, 0.25)


@dataclass(frozen=True)
class Sample:
    """Sums over n observations, each at or above 0 and by its nature about in [0, 1]."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; 0 without observations."""
        return self.total / self.count if self.count > 0 else 0.0

    @property
    def mean_variance(self) -> float:
        """Variance of the mean, with one observation more at 0 and one at 1."""
        n = self.count + 2
        center = (self.total + 1) / n
        return max((self.squares + 1) / n - center**2, 1e-9) / max(self.count, 1.0)


def rise_evidence(strata: Iterable[tuple[Sample, Sample]], *, limit: float) -> float:
    """Logarithm of the evidence against "the canary's mean is at most `limit` above the stable's".

    Args:
        strata: canary and stable, observed at the same time, for each step.
        limit: the greatest difference that is tolerated.

    Returns:
        Reject at level alpha as soon as it exceeds log(1/alpha).
    """
    information = score = 0.0
    for canary, stable in strata:
        if canary.count <= 0 or stable.count <= 0:
            continue
        weight = 1 / (canary.mean_variance + stable.mean_variance)
        information += weight
        score += weight * (canary.mean - stable.mean - limit)
    mixed = [_mixture(score, information, scale) for scale in SCALES]
    return max(mixed) + math.log(sum(math.exp(m - max(mixed)) for m in mixed) / len(mixed))


def _mixture(score: float, information: float, scale: float) -> float:
    """Logarithm of the likelihood ratio, averaged over a half-normal excess of this scale."""
    spread = 1 + scale**2 * information
    exponent = (scale * score) ** 2 / (2 * spread)
    tail = float(log_ndtr(scale * score / math.sqrt(spread)))
    return math.log(2) - math.log(spread) / 2 + exponent + tail


def excess_evidence(hits: float, count: float, *, share: float) -> float:
    """Logarithm of the evidence against "the chance of a hit is at most `share`".

    The exact likelihood ratio of Bernoulli observations, averaged evenly over
    all greater chances; no approximation, whatever the count.

    Args:
        hits: observations with the property.
        count: all observations.
        share: the chance that is tolerated, above 0 and below 1.

    Returns:
        Reject at level alpha as soon as it exceeds log(1/alpha).
    """
    above = float(betaincc(hits + 1, count - hits + 1, share))
    if above <= 0:
        return -math.inf
    mixture = float(betaln(hits + 1, count - hits + 1)) + math.log(above) - math.log1p(-share)
    return mixture - hits * math.log(share) - (count - hits) * math.log1p(-share)
