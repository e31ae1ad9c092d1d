"""A release upstream may fall into the middle of a span."""

import numpy as np
import pytest

from kontinual.validation.unit_check import check_units


@pytest.fixture
def check(expected):
    def run(frame, previous):
        return check_units(frame, previous, time="at", expected=expected)

    return run


def converted(frame, start, stop):
    rows = slice(round(start * len(frame)), round(stop * len(frame)))
    column = frame.columns.get_loc("weight")
    frame.iloc[rows, column] = frame.iloc[rows, column] * 0.45359237
    return frame


def test_the_same_units_give_no_finding(check, visits):
    for seed in range(20):
        assert check(visits(seed=seed), visits(seed=seed + 1)) == []


def test_a_span_in_other_units_is_refused(check, visits):
    (found,) = check(converted(visits(), 0, 1), visits(seed=1))
    assert (found.feature, found.refuses) == ("weight", True)
    assert "`weight`: its unit seems to have changed, as if pounds became kilo" in found.sentence


@pytest.mark.parametrize(("start", "stop"), [(0.5, 1), (0.35, 1), (0, 0.4), (0.25, 0.75)])
def test_a_part_in_other_units_is_refused_with_its_time(check, visits, start, stop):
    (found,) = check(converted(visits(1500), start, stop), visits(1500, seed=1))
    assert found.refuses
    assert "its unit seems to have changed from 2026-01-0" in found.sentence


def test_the_order_of_rows_in_the_file_does_not_matter(check, visits):
    frame = converted(visits(1500), 0.5, 1)
    shuffled = frame.sample(frac=1, random_state=3)
    assert check(shuffled, visits(seed=1)) == check(frame, visits(seed=1))


def test_what_comes_and_goes_like_weather_is_only_noted(check, visits):
    before, now = visits(2000, seed=1), visits(2000, seed=2)
    for frame in (before, now):
        frame["weight"] *= 1 + 0.35 * np.sin(np.linspace(0, 2 * np.pi, len(frame)))
    assert all(not f.refuses for f in check(converted(now, 0.5, 0.75), before))


def test_without_a_span_before_there_is_nothing_to_compare(check, visits):
    assert check(converted(visits(), 0, 1), None) == []
    assert check(visits(), visits().drop(columns="weight")) == []
    assert check(visits(0), visits()) == []
