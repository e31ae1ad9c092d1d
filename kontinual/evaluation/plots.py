"""The report's pictures, as SVG text to be put into HTML."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kontinual.evaluation.records import CalibrationBin, Comparison, Evaluation

__all__ = ["calibration_svg", "forest_svg", "roc_svg"]

CHAMPION, CHALLENGER, BAD, GOOD, MUTED = "#7a8699", "#1f6feb", "#c93c37", "#2c974b", "#8b949e"
TELLING_ROWS = 50


def roc_svg(evaluation: Evaluation) -> str:
    """Both ROC curves on the new holdout."""
    figure, axes = _square("ROC", "false positive rate", "true positive rate")
    if evaluation.champion_roc:
        axes.plot(
            evaluation.champion_roc.fpr, evaluation.champion_roc.tpr, color=CHAMPION,
            label="champion", linewidth=1.6,
        )  # fmt: skip
    axes.plot(
        evaluation.roc.fpr, evaluation.roc.tpr, color=CHALLENGER, label="challenger", linewidth=1.8
    )
    axes.legend(loc="lower right", frameon=False)
    return _svg(figure)


def calibration_svg(evaluation: Evaluation) -> str:
    """Share of positives against mean score, in tenths of the rows."""
    figure, axes = _square("Calibration", "mean score", "share of positives")
    _calibrated(axes, evaluation.champion_calibration, CHAMPION, "champion")
    _calibrated(axes, evaluation.calibration, CHALLENGER, "challenger")
    bins = [*evaluation.calibration, *evaluation.champion_calibration]
    top = min(1.0, 1.1 * max(max(b.mean_score, b.positives) for b in bins) + 0.02)
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(loc="upper left", frameon=False)
    return _svg(figure)


def forest_svg(comparisons: Sequence[Comparison], *, limits: dict[str, float]) -> str:
    """The improvement by one metric in each group, with its interval.

    Args:
        comparisons: of one metric; those without an interval are left out.
        limits: the regression allowed on `new`, `old`, `slices`, drawn as ticks.
    """
    shown = [c for c in comparisons if c.low is not None]
    figure = Figure(figsize=(7.6, 0.9 + 0.27 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for row, seen in enumerate(reversed(shown)):
        _interval(axes, row, seen, limits.get(seen.on))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [f"{c.group} ({c.rows:,})" for c in reversed(shown)])
    axes.set(xlim=_breadth(shown), ylim=(-0.8, len(shown) - 0.2))
    axes.set_xlabel("worse   ←   improvement   →   better")
    axes.tick_params(labelsize=8)
    _plain(axes)
    return _svg(figure)


def _interval(axes: Axes, row: int, seen: Comparison, limit: float | None) -> None:
    low, high, middle = seen.low or 0.0, seen.high or 0.0, seen.improvement or 0.0
    colour = GOOD if low > 0 else BAD if high < 0 else MUTED
    axes.plot([low, high], [row, row], color=colour, linewidth=1.6)
    axes.plot([middle], [row], "o", color=colour, markersize=4.5)
    if limit is not None:
        axes.plot([-limit, -limit], [row - 0.4, row + 0.4], color=BAD, linewidth=0.9)


def _breadth(shown: Sequence[Comparison]) -> tuple[float, float]:
    """Limits of the axis; the wide intervals of tiny groups run out of it."""
    telling = [c for c in shown if c.rows >= TELLING_ROWS] or list(shown)
    ends = [0.0, *(c.low or 0.0 for c in telling), *(c.high or 0.0 for c in telling)]
    margin = 0.15 * (max(ends) - min(ends)) + 1e-3
    return min(ends) - margin, max(ends) + margin


def _calibrated(axes: Axes, bins: Sequence[CalibrationBin], colour: str, name: str) -> None:
    if bins:
        xs, ys = [b.mean_score for b in bins], [b.positives for b in bins]
        axes.plot(xs, ys, "o-", color=colour, markersize=4, linewidth=1.4, label=name)


def _square(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.9, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _svg(figure: Figure) -> str:
    """The figure alone, without the XML prologue that HTML does not take."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
