"""Two small pictures as inline SVG: a column's distributions, and a bar up to a limit."""

from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["limit_bar", "shares", "sparkline"]

_BINS = 20
_WIDTH, _HEIGHT = 160, 36
Shares = npt.NDArray[np.float64]


def shares(now: "pd.Series[Any]", before: "pd.Series[Any] | None") -> tuple[Shares, Shares | None]:
    """Shares of a column's values in common bins now and before, each [bins].

    Numbers fall into (at most) 20 equal bins of the range of both, categories into their
    20 commonest values.
    """
    values = [c.dropna() for c in (now, before) if c is not None]
    both = pd.concat(values)
    if both.empty:
        return np.zeros(1), None if before is None else np.zeros(1)
    if pd.api.types.is_numeric_dtype(both):
        edges = np.histogram_bin_edges(
            both[np.isfinite(both)].to_numpy(float), bins=min(_BINS, both.nunique())
        )
        counts = [np.histogram(v.to_numpy(float), bins=edges)[0] for v in values]
    else:
        top = both.astype(str).value_counts().head(_BINS).index
        counts = [
            v.astype(str).value_counts().reindex(top, fill_value=0).to_numpy() for v in values
        ]
    found = [c / max(1, len(v)) for c, v in zip(counts, values, strict=True)]
    return found[0], found[1] if before is not None else None


def sparkline(name: str, now: Shares, before: Shares | None) -> str:
    """Filled bars for now, an outline for before."""
    top = max(float(now.max()), float(before.max()) if before is not None else 0.0, 1e-9)
    width = _WIDTH / len(now)
    bars = "".join(
        f'<rect class="now" x="{i * width:.1f}" y="{_HEIGHT * (1 - s / top):.1f}" '
        f'width="{max(0.5, width - 1):.1f}" height="{_HEIGHT * s / top:.1f}"/>'
        for i, s in enumerate(now)
        if s > 0
    )
    line = ""
    if before is not None:
        steps = "".join(
            f" V{_HEIGHT * (1 - s / top):.1f} H{(i + 1) * width:.1f}" for i, s in enumerate(before)
        )
        line = f'<path class="before" d="M0 {_HEIGHT}{steps} V{_HEIGHT}"/>'
    label = f"distribution of {name}" + (", now filled, before as a line" if line else "")
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 -1 {_WIDTH} {_HEIGHT + 2}" '
        f'width="{_WIDTH}" height="{_HEIGHT + 2}">{bars}{line}</svg>'
    )


def limit_bar(value: float, limit: float) -> str:
    """A bar as long as the value, with a mark at the limit."""
    scale = max(value, limit, 1e-9) * 1.15
    kind = "over" if value > limit else "under"
    return (
        f'<svg role="img" aria-label="{value:.3f} of at most {limit:.3f}" viewBox="0 0 120 12" '
        f'width="120" height="12"><rect class="track" x="0" y="3" width="120" height="6"/>'
        f'<rect class="{kind}" x="0" y="3" width="{120 * value / scale:.1f}" height="6"/>'
        f'<rect class="limit" x="{120 * limit / scale:.1f}" y="0" width="2" height="12"/></svg>'
    )
