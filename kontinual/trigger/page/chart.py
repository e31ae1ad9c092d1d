"""The geometry of the page's plot: everything in percent, so that it fits a phone and a wall."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from kontinual.trigger.page.figures import Figures, Line

__all__ = ["Chart", "Mark", "draw"]

Scale = Callable[[float], float]
PAD = 0.08  # of the value range, above and below the lines


@dataclass(frozen=True)
class Mark:
    """Something that happened: a retraining, or a version restored."""

    at: float  # Unix seconds
    text: str
    good: bool


@dataclass(frozen=True)
class Chart:
    """What a template draws. x and y are percent of the plot's width and height, from top left."""

    lines: list[tuple[str, int, list[str]]]  # version, colour, polylines as "x,y x,y ..."
    marks: list[tuple[float, Mark]]
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    latest: list[tuple[str, int, float]]  # version, colour, last value


def draw(figures: Figures, marks: Iterable[Mark]) -> Chart | None:
    """The plot of quality over time; None when there is nothing to draw."""
    values = [v for line in figures.quality for _, v in line.points]
    if not values:
        return None
    pad = max((max(values) - min(values)) * PAD, 0.005)
    low, high = min(values) - pad, max(values) + pad
    length = figures.end - figures.start

    def x(t: float) -> float:
        return round(100 * (t - figures.start) / length, 2)

    def y(v: float) -> float:
        return round(100 * (high - v) / (high - low), 2)

    gap = 4 * length / 180
    lines = [
        (line.version, i % 6, [_polyline(part, x, y) for part in _parts(line, gap)])
        for i, line in enumerate(figures.quality)
    ]
    return Chart(
        lines=lines,
        marks=[(x(m.at), m) for m in marks if figures.start <= m.at <= figures.end],
        y_ticks=[(y(v), text) for v, text in _round_values(low, high)],
        x_ticks=_times(figures.start, figures.end),
        latest=[(e.version, i % 6, e.points[-1][1]) for i, e in enumerate(figures.quality)],
    )


def _parts(line: Line, gap: float) -> list[list[tuple[float, float]]]:
    """A line, broken where there was no data: nobody knows what was between."""
    parts = [[line.points[0]]]
    for before, point in pairwise(line.points):
        if point[0] - before[0] > gap:
            parts.append([])
        parts[-1].append(point)
    return parts


def _polyline(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    first = [*points, points[0]] if len(points) == 1 else points
    return " ".join(f"{x(t)},{y(v)}" for t, v in first)


def _round_values(low: float, high: float) -> list[tuple[float, str]]:
    """Two to six round numbers between two, all written with as many digits."""
    rough = (high - low) / 5  # the next round number is at most 2.5 times as great
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough)
    first = math.ceil(low / step)
    digits = max(2, -math.floor(math.log10(step)))
    return [(i * step, f"{i * step:.{digits}f}") for i in range(first, math.floor(high / step) + 1)]


def _times(start: float, end: float) -> list[tuple[float, str]]:
    style = "%H:%M:%S" if end - start < 3600 else "%d %b %H:%M" if end - start < 3e5 else "%d %b"
    parts = (0.0, 0.5, 1.0)
    at = [datetime.fromtimestamp(start + p * (end - start), UTC) for p in parts]
    return [(100 * p, f"{t:{style}}") for p, t in zip(parts, at, strict=True)]
