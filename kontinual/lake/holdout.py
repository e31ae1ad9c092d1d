"""Which rows are kept for evaluation only."""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["is_holdout"]

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
        block: length of a block, at least a second; blocks are counted from 1970-01-01 UTC.
    """
    moments = pd.DatetimeIndex(pd.to_datetime(times, utc=True)).tz_localize(None)
    seconds = moments.to_numpy("datetime64[s]").astype(np.int64)
    numbers = seconds // round(block.total_seconds())
    return (numbers * _GOLDEN) % 1.0 < share
