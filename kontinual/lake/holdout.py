"""Which rows are kept for evaluation only."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

__all__ = ["is_holdout"]


def is_holdout(ids: Sequence[str], share: float) -> npt.NDArray[np.bool_]:
    """Is each row held out from training, bool [n].

    It hangs on the id alone, so a row is holdout in whichever span, process,
    version or year it is looked at; and a greater share only adds rows.

    Args:
        ids: the rows' ids, [n].
        share: expected share of holdout rows, in [0, 1].
    """
    digests = b"".join(blake2b(str(i).encode(), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype=">u8") / 2.0**64 < share
