"""Drift and skew as TFDV measures them, and what chance adds to them.

*Drift* is the distance of a span to the accepted span before: what changed at
once. *Skew* is the distance between what was served and what is trained on:
for a span that the collector gathered (served requests, as they came) the
distance to the rows that a model before it learned from, which is a sample of
all earlier accepted spans. It sees what drift can not: a slow move in many
small steps, and a difference between the way history was made and the way
requests are. It says nothing of features that move by nature (those allowed more
drift than others): that they are far from what was learned is why one retrains.
"""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict

from kontinual.validation.findings import Check, Finding
from kontinual.validation.statistics import import_tfdv

__all__ = ["Distance", "Measured", "findings", "measure", "slack"]

_BINS = 20  # TFDV joins two histograms of ten buckets each


class Distance(BaseModel):
    """How far a feature moved, and how far it may."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: Check
    feature: str
    measure: str
    value: float
    limit: float

    @property
    def exceeded(self) -> bool:
        """Is it too far? A limit of 1, the greatest distance, is none."""
        return self.value > self.limit and self.limit < 1


class Measured(BaseModel):
    """What TFDV says of a span."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distances: list[Distance]
    anomalies: list[tuple[str, str, str]]
    """(feature or empty, kind of anomaly, description), without drift and skew"""


def slack(values: int, others: int, *, categorical: bool) -> float:
    """What chance alone adds to a distance between samples of n and m values, at most.

    Nulls are no values: TFDV's distances leave them out.

    The Jensen-Shannon divergence (base 2) of B bins is biased upwards by about
    (B-1)/(8 ln 2) (1/n + 1/m) (Grosse et al. 2002); twice that is allowed for.
    A share's difference has a standard error of at most sqrt((1/n + 1/m)/4);
    three of these are.
    """
    inverse = 1 / max(1, values) + 1 / max(1, others)
    if categorical:
        return 3 * math.sqrt(inverse / 4)
    return 2 * (_BINS - 1) / (8 * math.log(2)) * inverse


def measure(statistics: Any, schema: Any, *, previous: Any = None, trained: Any = None) -> Measured:
    """Ask TFDV for anomalies, drift and skew.

    Args:
        statistics: of the new span.
        schema: with the limits of drift and skew.
        previous: statistics of the accepted span before.
        trained: statistics of the earlier training data; given for served spans only.
    """
    tfdv = import_tfdv()
    answer = tfdv.validate_statistics(statistics, schema, previous_statistics=previous)
    distances = _distances(answer, Check.DRIFT)
    if trained is not None:
        # TFDV's roles: `statistics` are the training data, `serving_statistics` what was served.
        skew = tfdv.validate_statistics(trained, schema, serving_statistics=statistics)
        distances += _distances(skew, Check.SKEW)
    return Measured(distances=distances, anomalies=_anomalies(answer))


def findings(measured: Measured) -> list[Finding]:
    """The distances beyond their limits, in words."""
    return [_finding(d) for d in measured.distances if d.exceeded]


def _finding(distance: Distance) -> Finding:
    drift = distance.check is Check.DRIFT
    keys = "max_drift or validation.max_drift_by_feature" if drift else "max_skew"
    meaning = (
        "its values are not those of the accepted span before"
        if drift
        else "what was served is not what models were trained on so far"
    )
    return Finding(
        check=distance.check,
        feature=distance.feature,
        sentence=f"`{distance.feature}`: {meaning}; the {distance.measure} is "
        f"{distance.value:.3f}, the limit {distance.limit:.3f} (validation.{keys}, plus what "
        "chance adds with so many values)",
    )


def _distances(answer: Any, check: Check) -> list[Distance]:
    field = "drift_measurements" if check is Check.DRIFT else "skew_measurements"
    names = {1: "L-infinity distance", 2: "Jensen-Shannon divergence"}
    return [
        Distance(
            check=check,
            feature=".".join(info.path.step),
            measure=names.get(m.type, "distance"),
            value=m.value,
            limit=m.threshold,
        )
        for info in answer.drift_skew_info
        for m in getattr(info, field)
    ]


def _anomalies(answer: Any) -> list[tuple[str, str, str]]:
    found = [
        (name, type(info).Type.Name(reason.type), reason.description or reason.short_description)
        for name, info in answer.anomaly_info.items()
        for reason in info.reason
    ]
    if answer.HasField("dataset_anomaly_info"):
        found += [("", "DATASET", r.description) for r in answer.dataset_anomaly_info.reason]
    return [a for a in found if not a[1].startswith("COMPARATOR_")]
