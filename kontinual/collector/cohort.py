"""Versions compared on predictions of the same time, nearly all of which have their label.

Counters add up whatever labels have come, and two things bend a comparison of them. What
one version answered at night and another by day differs by the time, not by the version. And
labels that come first are not like the rest: a flight that is on time is known to be when it
lands, one that is late is known later. So both are asked of the same stretch of time, and of
no more of it than has its labels by now, however fast they come.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from kontinual.collector.outcomes import log_loss
from kontinual.collector.records import Answered, Cohort, VersionOutcomes

__all__ = ["COHORT_LIMIT", "beginning", "cohort"]

COHORT_LIMIT = 200_000


def cohort(
    rows: Sequence[Answered], *, versions: Sequence[str], labelled: float, clip: float = 0.0
) -> Cohort:
    """The outcomes of the rows' longest beginning that has its labels.

    Args:
        rows: in order of arrival.
        versions: one entry of the outcomes for each, in this order.
        labelled: share of each version's rows that has to have a label, in (0, 1].
        clip: scores count as this far from 0 and 1 at the least, which bounds the losses.
    """
    rows = rows[: beginning(rows, labelled=labelled)]
    until = datetime.fromtimestamp(rows[-1].arrived, UTC) if rows else None
    return Cohort(until, [_outcomes(rows, version, clip) for version in versions])


def beginning(rows: Sequence[Answered], *, labelled: float) -> int:
    """How many rows, from the first on, are the longest beginning that has its labels.

    Rows of one arrival belong together. A version without a row in a beginning does not
    stand in its way.

    Args:
        rows: in order of arrival.
        labelled: share of each version's rows that has to have a label, in (0, 1].
    """
    versions = np.array([row.version for row in rows])
    known = np.array([row.label is not None for row in rows], bool)
    good = np.diff([row.arrived for row in rows], append=np.inf) != 0
    for version in set(versions.tolist()):
        own = versions == version
        count = own.cumsum()
        good &= (own & known).cumsum() / np.maximum(count, 1) >= np.where(count, labelled, 0)
    ends = np.flatnonzero(good)
    return int(ends[-1]) + 1 if len(ends) else 0


def _outcomes(rows: Sequence[Answered], version: str, clip: float) -> VersionOutcomes:
    own = [row for row in rows if row.version == version]
    losses = [log_loss(row.score, row.label, clip=clip) for row in own if row.label is not None]
    return VersionOutcomes(
        version=version,
        predictions=len(own),
        labelled=len(losses),
        log_loss_sum=sum(losses),
        log_loss_squares=sum(loss * loss for loss in losses),
    )
