"""The demo's plots as inline SVG that takes the page's colour of text, light or dark."""

import io
import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from kontinual.local.demo.report import DriftPoint, Firing, QualityPoint, WeightPoint

__all__ = ["draw_drift", "draw_quality", "draw_weights"]

CHAMPION, FROZEN = "#2f7fc1", "#c8721b"
VERSIONS = ["#2f7fc1", "#1f9e77", "#a065c9", "#c8721b", "#c2547a", "#7d8f1c"]
_INK = "#010203"  # stands for the page's own colour until the SVG is written
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def draw_quality(points: Sequence[QualityPoint]) -> str:
    """Champion and frozen model over the time of events, each new champion marked."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes: Any = figure.add_subplot()
        times = [p.time for p in points]
        champion, frozen = ([getattr(p, k) for p in points] for k in ("champion_auc", "frozen_auc"))
        axes.plot(times, frozen, "--", color=FROZEN, lw=1.8, label="frozen first model")
        axes.plot(times, champion, "-", color=CHAMPION, lw=2.2, label="champion")
        changes = [(b.time, b.version) for a, b in pairwise(points) if a.version != b.version]
        for time, version in changes:
            axes.axvline(time, color=_INK, lw=0.8, ls=":")
            axes.annotate(
                f"v{version}", (time, 1), xycoords=("data", "axes fraction"),
                xytext=(3, -2), textcoords="offset points", va="top", fontsize=10,
            )  # fmt: skip
        locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(
            ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
        )
        axes.set_ylabel("ROC AUC")
        figure.legend(loc="outside upper left", ncols=2)
        return _svg(figure, "quality", _say_quality(points, changes))


def draw_weights(points: Sequence[WeightPoint], *, start: datetime, end: datetime) -> str:
    """Traffic by version as stacked steps over minutes of the wall clock."""
    versions = sorted({v for p in points for v in p.weights}, key=_version_key)
    minutes = [_minutes(p.at, start) for p in points] + [_minutes(end, start)]
    shares = np.array([[p.weights.get(v, 0) for p in points] for v in versions], dtype=float)
    shares = np.column_stack([shares, shares[:, -1]])
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 2.8), layout="constrained")
        axes: Any = figure.add_subplot()
        colours = [VERSIONS[i % len(VERSIONS)] for i in range(len(versions))]
        labels = [f"version {v}" for v in versions]
        axes.stackplot(minutes, shares, step="post", colors=colours, labels=labels, alpha=0.85)
        axes.set(xlabel="minutes since the start", ylabel="% of traffic", ylim=(0, 100))
        axes.margins(x=0)
        figure.legend(loc="outside upper left", ncols=6)
        return _svg(figure, "weights", _say_weights(points, versions, minutes[-1]))


def draw_drift(
    points: Sequence[DriftPoint],
    firings: Sequence[Firing],
    *,
    start: datetime,
    end: datetime,
) -> str:
    """PSI by feature over minutes as a heat map; below it when which alert fired."""
    features = _by_greatest(points)
    kinds = sorted({f.kind for f in firings})
    height = 1.6 + 0.26 * len(features) + 0.3 * len(kinds)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, height), layout="constrained")
        rows = [max(0.01, len(features)), max(0.01, len(kinds))]
        axes: Any = figure.subplots(2, 1, sharex=True, height_ratios=rows)
        _heat(figure, axes[0], points, features, start)
        _bars(axes[1], firings, kinds, start)
        axes[1].set(xlabel="minutes since the start", xlim=(0, max(0.1, _minutes(end, start))))
        return _svg(figure, "drift", _say_drift(points, features, kinds))


def _heat(
    figure: Any, axes: Any, points: Sequence[DriftPoint], features: list[str], start: datetime
) -> None:
    axes.set_yticks(range(len(features)), features)
    if not features:
        return
    minutes = [_minutes(p.at, start) for p in points]
    step = float(np.median(np.diff(minutes))) if len(minutes) > 1 else 1.0
    edges = [*minutes, minutes[-1] + step]
    values = np.array([[p.psi.get(f, np.nan) for p in points] for f in features])
    rows = np.arange(len(features) + 1) - 0.5
    mesh = axes.pcolormesh(edges, rows, values, cmap="viridis", vmin=0, vmax=1, rasterized=True)
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label="PSI (1 and more)", pad=0.01)


def _bars(axes: Any, firings: Sequence[Firing], kinds: list[str], start: datetime) -> None:
    for i, kind in enumerate(kinds):
        spans = [
            (_minutes(f.started_at, start), max(_minutes(f.ended_at, f.started_at), 0.05))
            for f in firings
            if f.kind == kind
        ]
        axes.broken_barh(spans, (i - 0.3, 0.6), color=FROZEN)
    axes.set_yticks(range(len(kinds)), [k.replace("_", " ") for k in kinds])


def _by_greatest(points: Sequence[DriftPoint]) -> list[str]:
    """The features, the one that moved most first."""
    greatest: dict[str, float] = {}
    for point in points:
        for name, value in point.psi.items():
            greatest[name] = max(greatest.get(name, -np.inf), value)
    return sorted(greatest, key=lambda n: (-greatest[n], n))


def _say_quality(points: Sequence[QualityPoint], changes: list[tuple[datetime, str]]) -> str:
    champion = np.mean([p.champion_auc for p in points])
    frozen = np.mean([p.frozen_auc for p in points])
    took = ", ".join(f"version {v} on {t:%-d %B}" for t, v in changes) or "no new champion"
    return (
        f"ROC AUC over time: the champion's is {champion:.3f} on average, the frozen first "
        f"model's {frozen:.3f}. Taking over: {took}."
    )


def _say_weights(points: Sequence[WeightPoint], versions: list[str], minutes: float) -> str:
    final = ", ".join(f"version {v} {w} %" for v, w in points[-1].weights.items() if w)
    return (
        f"Share of traffic of {len(versions)} versions over {minutes:.0f} minutes; "
        f"at the end {final}."
    )


def _say_drift(points: Sequence[DriftPoint], features: list[str], kinds: list[str]) -> str:
    moved = "No drift was recorded"
    if features:
        top = [f"{n} {max(p.psi.get(n, 0.0) for p in points):.2f}" for n in features[:3]]
        moved = f"Greatest PSI of the features that moved most: {', '.join(top)}"
    fired = ", ".join(k.replace("_", " ") for k in kinds) or "none"
    return f"{moved}. Alerts that fired: {fired}."


def _svg(figure: Any, name: str, said: str) -> str:
    """The figure as an SVG element with a text alternative and ids of its own."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None}, dpi=150)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(said)}" ', 1)


def _minutes(at: datetime, start: datetime) -> float:
    return (at - start).total_seconds() / 60


def _version_key(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (10**9, version)
