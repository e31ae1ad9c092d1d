"""How a column moves through the history, measured as monitoring and validation will measure it."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["jump", "movement", "null_rise", "tenths"]

Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.intp]

_TENTHS, _QUARTERS, _LEAST_ROWS = 10, 4, 400
_POINT = 1e-9


def tenths(values: Values) -> Codes:
    """Each value's tenth of the values; null is -1."""
    known = ~np.isnan(values)
    inner = np.linspace(0, 1, _TENTHS + 1)[1:-1]
    edges = np.unique(np.quantile(values[known], inner, method="lower"))
    return np.where(known, np.searchsorted(edges, values, side="right"), -1)


def movement(codes: Codes) -> float:
    """How far the spread over the groups moves as the rows go on; 0 for few rows.

    Population stability index of a quarter of the rows to all before it, the greatest. The
    part that chance adds, about (groups - 1)(1/n + 1/m), is taken off.

    Args:
        codes: group of each row in order of time, from 0; null is -1.
    """
    if len(codes) < _LEAST_ROWS:
        return 0.0
    groups = codes.max() + 2
    quarters = np.array_split(codes + 1, _QUARTERS)
    counts = np.stack([np.bincount(quarter, minlength=groups) for quarter in quarters])
    before = np.cumsum(counts, axis=0)
    return max(_stability(counts[i], before[i - 1]) for i in range(1, _QUARTERS))


def jump(values: Values | Codes, spans: Numbers, *, category: bool) -> float:
    """The greatest distance of a span to the one before, as TFDV measures it.

    L-infinity of the shares for categories; for numbers Jensen-Shannon divergence (base 2) of
    histograms of ten equal bins, each over its own range: one far value moves all the bins.

    Args:
        values: of each row, numbers or codes from 0; null is NaN, or -1.
        spans: number of each row's span.
        category: are they codes?
    """
    known = values >= 0 if category else ~np.isnan(values)
    parts = [values[known & (spans == span)] for span in np.unique(spans)]
    distance = _l_infinity if category else _jensen_shannon
    pairs = [(now, before) for before, now in pairwise(parts) if len(now) and len(before)]
    return max((distance(now, before) for now, before in pairs), default=0.0)


def null_rise(nulls: npt.NDArray[np.bool_], spans: Numbers) -> float:
    """By how much the share of nulls rises from a span to the next, at most."""
    shares = [float(nulls[spans == span].mean()) for span in np.unique(spans)]
    return max([0.0, *(now - before for before, now in pairwise(shares))])


def _stability(now: npt.NDArray[np.intp], before: npt.NDArray[np.intp]) -> float:
    there = (now + before) > 0
    n, m = now.sum(), before.sum()
    # Half a row in each group: an empty one is unlikely, and not impossible.
    p = (now[there] + 0.5) / (n + 0.5 * there.sum())
    q = (before[there] + 0.5) / (m + 0.5 * there.sum())
    chance = (there.sum() - 1) * (1 / n + 1 / m)
    return max(0.0, float(np.sum((p - q) * np.log(p / q)) - chance))


def _l_infinity(now: Values | Codes, before: Values | Codes) -> float:
    groups = int(max(now.max(), before.max())) + 1
    p, q = (
        np.bincount(part.astype(np.intp), minlength=groups) / len(part) for part in (now, before)
    )
    return float(np.abs(p - q).max())


def _jensen_shannon(now: Values | Codes, before: Values | Codes) -> float:
    low, high = min(now.min(), before.min()), max(now.max(), before.max())
    if low == high:
        return 0.0
    histograms = [_histogram((part - low) / (high - low)) for part in (now, before)]
    edges = np.unique(np.concatenate([bounds for _, bounds in histograms]))
    # Within a bin the rows are taken for evenly spread.
    below = [
        np.interp(edges, bounds, np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum())
        for counts, bounds in histograms
    ]
    p, q = (np.diff(share) for share in below)
    middle = (p + q) / 2
    return float(sum(_entropy_to(share, middle) for share in (p, q)) / 2)


def _histogram(values: Values) -> tuple[npt.NDArray[np.intp], Values]:
    """Counts in equal bins from the least to the greatest value, and the bins' bounds."""
    low, high = values.min(), values.max()
    # What lies closer together than _POINT of the whole range is one point.
    point = high - low < _POINT
    bounds = (
        np.array([low - _POINT, high + _POINT]) if point else np.linspace(low, high, _TENTHS + 1)
    )
    return np.histogram(values, bounds)[0], bounds


def _entropy_to(share: Values, middle: Values) -> float:
    there = share > 0
    return float(np.sum(share[there] * np.log2(share[there] / middle[there])))
