from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kontinual.trigger.page.chart import Mark, draw
from kontinual.trigger.page.figures import Figures, Line

START, END = 1_000_000.0, 1_180_000.0
times = st.floats(START, END)
values = st.floats(0, 1)
lines = st.lists(st.tuples(times, values), min_size=1, max_size=30).map(sorted)


def figures(*found: list[tuple[float, float]]) -> Figures:
    quality = [Line(str(i), points) for i, points in enumerate(found)]
    return Figures(START, END, quality=quality)


@given(st.lists(lines, min_size=1, max_size=8))
def test_all_that_is_drawn_lies_within_the_plot(found: list[list[tuple[float, float]]]) -> None:
    chart = draw(figures(*found), [])
    assert chart is not None
    points = [p for _, _, parts in chart.lines for part in parts for p in part.split()]
    drawn = [float(c) for p in points for c in p.split(",")]
    assert all(0 <= c <= 100 for c in drawn)
    assert all(-0.01 <= y <= 100.01 for y, _ in chart.y_ticks)
    assert 2 <= len(chart.y_ticks) <= 6
    assert [v for _, _, v in chart.latest] == [points[-1][1] for points in found]


@given(lines)
def test_no_line_is_drawn_over_a_gap(points: list[tuple[float, float]]) -> None:
    chart = draw(figures(points), [])
    assert chart is not None
    gaps = sum(b[0] - a[0] > (END - START) / 45 for a, b in pairwise(points))
    assert len(chart.lines[0][2]) == gaps + 1


def test_better_is_higher_and_later_is_further_right() -> None:
    chart = draw(figures([(START, 0.6), (START + 1000, 0.7)]), [])
    assert chart is not None
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in chart.lines[0][2][0].split())
    assert x1 > x0
    assert y1 < y0


def test_only_what_happened_in_the_period_is_marked() -> None:
    marks = [Mark(START - 1, "v1", True), Mark((START + END) / 2, "v2", True)]
    chart = draw(figures([(START, 0.5)]), marks)
    assert chart is not None
    assert [(x, m.text) for x, m in chart.marks] == [(50.0, "v2")]


def test_without_figures_there_is_no_plot() -> None:
    assert draw(figures(), []) is None
