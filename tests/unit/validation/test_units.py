"""A change of unit is told from a change of season."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kontinual.validation.units import conversions, unit_change

seeds = st.integers(0, 2**32 - 1)


def distances_flown(seed, rows=1500):
    """Like the flights: about a hundred routes, some far more often than others."""
    routes = np.random.default_rng(7).gamma(2.5, 400, 100).round()
    rng = np.random.default_rng(seed)
    return rng.choice(routes, rows, p=np.random.default_rng(8).dirichlet(np.ones(100)))


def temperatures(seed, mean, rows=1500):
    return np.random.default_rng(seed).normal(mean, 9, rows)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_two_samples_of_one_quantity_show_no_change(seed):
    assert unit_change(distances_flown(seed), distances_flown(seed + 1), unit="miles") is None


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(0, 1))
def test_miles_that_became_kilometres_are_named_even_when_rounded(seed, digits):
    now = np.round(distances_flown(seed) * 1.609344, digits)
    change = unit_change(now, distances_flown(seed + 1), unit="miles")
    assert change is not None
    assert str(change.conversion) == "miles became kilometres (×1.609)"


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(25, 80), st.floats(-14, 14))
@example(720, 41.0, 14.0)
def test_fahrenheit_that_became_celsius_is_named_across_a_month_of_season(seed, mean, warmer):
    now = (temperatures(seed, mean + warmer) - 32) / 1.8
    change = unit_change(now, temperatures(seed + 1, mean), unit="°F")
    if mean > 40:  # below that both scales overlap, and drift is what remains to say
        assert change is not None
        assert change.conversion.target == "°C"


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(25, 80), st.floats(-16, 16))
def test_a_season_is_no_change_of_unit(seed, mean, warmer):
    now, before = temperatures(seed, mean + warmer), temperatures(seed + 1, mean)
    assert unit_change(now, before, unit="°F") is None


@pytest.mark.parametrize(
    ("unit", "factor", "named"),
    [
        ("lb", 0.45359237, "pounds became kilograms"),
        ("mph", 0.44704, "mph became m/s"),
        ("hPa", 0.1, "hPa became kPa"),
        ("s", 1000, "seconds became milliseconds"),
        ("%", 0.01, "% became fraction"),
        ("", 0.3048, "feet became metres"),
    ],
)
def test_common_conversions_are_known(unit, factor, named):
    rng = np.random.default_rng(3)
    before, now = rng.gamma(4, 20, 1500), rng.gamma(4, 20, 1500) * factor
    change = unit_change(now, before, unit=unit)
    assert change is not None
    assert str(change.conversion).startswith(named)


def test_only_conversions_from_the_declared_unit_come_into_question():
    assert {c.target for c in conversions("°F")} == {"°C", "K"}
    assert {c.source for c in conversions("miles")} == {"miles"}
    assert conversions("parsecs") == []
    assert len({c.source for c in conversions("")}) > 3


def test_a_conversion_of_temperature_is_exact():
    (to_celsius,) = [c for c in conversions("°F") if c.target == "°C"]
    assert to_celsius(np.array([32.0, 212.0])) == pytest.approx([0, 100])


@pytest.mark.parametrize("values", [[], [1.0] * 100, list(range(20))])
def test_too_little_to_compare_is_no_change(values):
    many = np.random.default_rng(0).normal(0, 1, 500)
    assert unit_change(np.array(values, dtype=float), many) is None
    assert unit_change(many, np.array(values, dtype=float)) is None
