"""Durations: Prometheus' own notation, both ways."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.spec import format_duration, parse_duration

_seconds = st.integers(min_value=0, max_value=10 * 365 * 86400)


@given(_seconds)
def test_every_duration_survives_being_written_and_read(seconds: int) -> None:
    moment = timedelta(seconds=seconds)
    assert parse_duration(format_duration(moment)) == moment


@given(_seconds, _seconds)
def test_texts_differ_exactly_where_durations_do(one: int, other: int) -> None:
    texts = [format_duration(timedelta(seconds=s)) for s in (one, other)]
    assert (texts[0] == texts[1]) == (one == other)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("6h", 21600),
        ("1d12h", 129600),
        ("4w", 2419200),
        ("0s", 0),
        ("1w1d1h1m1s", 694861),
    ],
)
def test_the_notation_is_that_of_prometheus(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-3d", "3 d", "1h2d", "2y", "P1D", 60, None])
def test_another_notation_is_refused_with_examples_of_the_right_one(text: object) -> None:
    with pytest.raises(ValueError, match=r"is written like 90s, 6h, 1d12h or 4w, but got"):
        parse_duration(text)


def test_a_time_span_passes_as_it_is() -> None:
    assert parse_duration(timedelta(hours=1)) == timedelta(hours=1)
