"""Durations: Prometheus' own notation, both ways."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.spec import InvalidLoop, format_duration, parse_duration, parse_loop

Mistake = Callable[[str, str], tuple[int, InvalidLoop]]

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


@pytest.mark.parametrize(
    "text", ["", "5", "1.5h", "-3d", "3 d", "1h2d", "2y", "P1D", "٣d", 60, None]
)
def test_another_notation_is_refused_with_examples_of_the_right_one(text: object) -> None:
    with pytest.raises(ValueError, match=r"is written like 90s, 6h, 1d12h or 4w, but got"):
        parse_duration(text)


def test_what_no_clock_counts_to_is_refused() -> None:
    with pytest.raises(ValueError, match="a duration is at most 999999999d, but got 999999999999w"):
        parse_duration("999999999999w")


@pytest.mark.parametrize(
    ("right", "wrong", "path"),
    [
        ("span: 30d", "span: 0d", "data.span"),
        ("timeout: 30m", "timeout: 0m", "training.tuning.timeout"),
        ("  window: 30d", "  window: 0s", "monitoring.window"),
        ("threshold: 3, window: 2h", "threshold: 3, window: 0h", "monitoring.alerts[10].window"),
        ("cooldown: 35d", "hold_timeout: 0s", "trigger.hold_timeout"),
        ("cooldown: 35d", "run_timeout: 0s", "trigger.run_timeout"),
    ],
)
def test_no_time_at_all_is_refused_where_it_means_nothing(
    mistake: Mistake, right: str, wrong: str, path: str
) -> None:
    line, error = mistake(right, wrong)
    (problem,) = error.problems
    assert (problem.line, problem.path) == (line, path)
    assert problem.message == "must be longer than 0s, but got 0s"


def test_no_time_at_all_is_taken_where_it_means_at_once(flights_path: Path) -> None:
    text = flights_path.read_text(encoding="utf-8")
    for right, key in (("cooldown: 35d", "cooldown"), ("step_duration: 3d", "step_duration")):
        assert text.count(right) == 1
        text = text.replace(right, f"{key}: 0s")
    loop = parse_loop(text)
    assert loop.trigger.cooldown == loop.rollout.step_duration == timedelta(0)


def test_a_time_span_passes_as_it_is() -> None:
    assert parse_duration(timedelta(hours=1)) == timedelta(hours=1)
