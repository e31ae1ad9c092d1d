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

from kontinual.local.demo.report import (
    DriftPoint,
    QualityPoint,
    RunReport,
    TriggerReport,
    WeightPoint,
)

__all__ = ["draw_drift", "draw_quality", "draw_weights"]

CHAMPION, FROZEN = "#2f7fc1", "#c8721b"
VERSIONS = ["#2f7fc1", "#1f9e77", "#a065c9", "#c8721b", "#c2547a", "#7d8f1c"]
Table = dict[str, dict[str, float]]
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
        times = [_moment(p.time) for p in points]
        champion, frozen = ([getattr(p, k) for p in points] for k in ("champion_auc", "frozen_auc"))
        axes.plot(times, frozen, "--", color=FROZEN, lw=1.8, label="frozen first model")
        axes.plot(times, champion, "-", color=CHAMPION, lw=2.2, label="champion")
        changes = [
            (_moment(b.time), b.version) for a, b in pairwise(points) if a.version != b.version
        ]
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


def draw_weights(
    points: Sequence[WeightPoint],
    runs: Sequence[RunReport],
    *,
    start: datetime,
    end: datetime,
) -> str:
    """Each challenger's share of traffic, in steps over minutes of the wall clock."""
    versions = {r.id: r.version for r in runs}
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 2.8), layout="constrained")
        axes: Any = figure.add_subplot()
        said = []
        for i, run in enumerate(dict.fromkeys(p.run for p in points)):
            own = [p for p in points if p.run == run]
            minutes = [_minutes(p.time, start) for p in own]
            weights = [p.weight for p in own]
            colour = VERSIONS[i % len(VERSIONS)]
            label = f"version {versions.get(run) or '?'}"
            axes.fill_between(minutes, weights, step="post", color=colour, alpha=0.3, lw=0)
            axes.step(minutes, weights, where="post", color=colour, lw=2, marker=".", label=label)
            said.append(f"{label} {' → '.join(f'{w} %' for w in dict.fromkeys(weights))}")
        axes.set(xlabel="minutes since the start", ylabel="% of traffic", ylim=(0, 104))
        axes.set_xlim(0, _last(start, end))
        figure.legend(loc="outside upper left", ncols=5)
        return _svg(figure, "weights", f"Share of traffic of the challengers: {'; '.join(said)}.")


def draw_drift(
    points: Sequence[DriftPoint],
    triggers: Sequence[TriggerReport],
    *,
    start: datetime,
    end: datetime,
) -> str:
    """PSI by feature over minutes as a heat map; below it which alert came when."""
    table = _by_feature(points)
    fired = [(t, t.alert) for t in triggers if t.alert is not None]
    alerts = sorted({alert for _, alert in fired})
    height = 1.6 + 0.26 * len(table) + 0.3 * len(alerts)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, height), layout="constrained")
        rows = [len(table), max(0.01, len(alerts))]
        axes: Any = figure.subplots(2, 1, sharex=True, height_ratios=rows)
        _heat(figure, axes[0], table, start)
        _marks(axes[1], fired, alerts, start)
        axes[1].set(xlabel="minutes since the start", xlim=(0, _last(start, end)))
        return _svg(figure, "drift", _say_drift(table, alerts))


def _heat(figure: Any, axes: Any, table: Table, start: datetime) -> None:
    moments = sorted({t for series in table.values() for t in series})
    minutes = [_minutes(t, start) for t in moments]
    step = float(np.median(np.diff(minutes))) if len(minutes) > 1 else 1.0
    edges = [*minutes, minutes[-1] + step]
    values = np.array([[series.get(t, np.nan) for t in moments] for series in table.values()])
    rows = np.arange(len(table) + 1) - 0.5
    mesh = axes.pcolormesh(edges, rows, values, cmap="viridis", vmin=0, vmax=1, rasterized=True)
    axes.set_yticks(range(len(table)), list(table))
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label="PSI (1 and more)", pad=0.01)


def _marks(
    axes: Any, fired: Sequence[tuple[TriggerReport, str]], alerts: list[str], start: datetime
) -> None:
    for trigger, alert in fired:
        axes.plot(
            _minutes(trigger.received_at, start),
            alerts.index(alert),
            "o",
            color=FROZEN,
            fillstyle="full" if trigger.decision == "accept" else "none",
            clip_on=False,
        )
    axes.set_yticks(range(len(alerts)), [a.removeprefix("Kontinual") for a in alerts])
    axes.set_ylim(-0.6, max(0.6, len(alerts) - 0.4))


def _by_feature(points: Sequence[DriftPoint]) -> Table:
    """PSI by moment of each feature, the one that moved most first."""
    table: Table = {}
    for point in points:
        table.setdefault(point.feature, {})[point.time] = point.psi
    return dict(sorted(table.items(), key=lambda item: (-max(item[1].values()), item[0])))


def _say_quality(points: Sequence[QualityPoint], changes: list[tuple[datetime, str]]) -> str:
    champion = np.mean([p.champion_auc for p in points])
    frozen = np.mean([p.frozen_auc for p in points])
    took = ", ".join(f"version {v} on {t:%-d %B}" for t, v in changes) or "no new champion"
    return (
        f"ROC AUC over time: the champion's is {champion:.3f} on average, the frozen first "
        f"model's {frozen:.3f}. Taking over: {took}."
    )


def _say_drift(table: Table, alerts: list[str]) -> str:
    top = [f"{name} {max(series.values()):.2f}" for name, series in list(table.items())[:3]]
    came = ", ".join(alerts) or "none"
    return f"Greatest PSI of the features that moved most: {', '.join(top)}. Alerts: {came}."


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


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _minutes(at: str | datetime, start: datetime) -> float:
    moment = _moment(at) if isinstance(at, str) else at
    return (moment - start).total_seconds() / 60


def _last(start: datetime, end: datetime) -> float:
    """The right end of an axis of minutes, never its left one."""
    return max(0.1, _minutes(end, start))
