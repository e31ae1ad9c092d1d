"""Which rows are kept for evaluation only."""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["blocks_of", "holdout_order", "is_holdout", "spread"]

# Multiples of the golden ratio, modulo one, fill the unit interval more evenly than those of any
# other number (Steinhaus' three-gap theorem), so neither weekdays nor months beat against them.
_GOLDEN = (5**0.5 - 1) / 2


def is_holdout(times: pd.Series, share: float, block: timedelta) -> npt.NDArray[np.bool_]:
    """Is each row held out from training, bool [n].

    Time is cut into blocks, and a block is held out as a whole: rows of one day share its
    weather and its troubles, and a model that has seen some of them would be examined on what
    it knows by heart. It hangs on the row's time alone, so a row is holdout in whichever
    span, process, version or year it is looked at; and a greater share only adds blocks.

    Args:
        times: when the rows happened, UTC, [n].
        share: expected share of blocks held out, in [0, 1].
        block: length of a block, at least a second.
    """
    return holdout_order(times, block) < share


def holdout_order(times: pd.Series, block: timedelta) -> npt.NDArray[np.float64]:
    """Where each row's block stands in the order in which blocks are held out, in [0, 1), [n].

    The lowest go first. Whoever takes further blocks out of what is left takes the next ones.

    Args:
        times: when the rows happened, UTC, [n].
        block: length of a block, at least a second.
    """
    return spread(blocks_of(times, block))


def blocks_of(times: pd.Series, block: timedelta) -> npt.NDArray[np.int64]:
    """The number of each row's block, counted from 1970-01-01 UTC, [n].

    Args:
        times: when the rows happened, UTC, [n].
        block: length of a block, at least a second.
    """
    moments = pd.DatetimeIndex(pd.to_datetime(times, utc=True)).tz_localize(None)
    seconds = moments.to_numpy("datetime64[s]").astype(np.int64)
    return seconds // round(block.total_seconds())


def spread(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Whole numbers over [0, 1), so that neighbours lie apart and no stretch of it stays empty."""
    return (numbers.astype(np.float64) * _GOLDEN) % 1.0
