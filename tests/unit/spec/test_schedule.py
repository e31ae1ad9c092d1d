from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kontinual.spec import Schedule

BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


def a_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    body = st.one_of(st.just("*"), number.map(str), span)
    part = st.tuples(body, st.one_of(st.none(), st.integers(1, high))).map(
        lambda pair: pair[0] if pair[1] is None else f"{pair[0]}/{pair[1]}"
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


@given(st.tuples(*(a_field(low, high) for low, high in BOUNDS)))
def test_every_cron_within_its_bounds_is_taken_as_it_is(fields: tuple[str, ...]) -> None:
    assert Schedule(cron="  ".join(fields)).cron == " ".join(fields)


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 3 * *", "cron has five fields"),
        ("0 0 3 * * 1", "cron has five fields"),
        ("60 * * * *", "minute of a cron is .* from 0 to 59.* got '60'"),
        ("0 3 0 * *", "day of month of a cron is .* from 1 to 31"),
        ("0 3 * * 7", "day of week of a cron is .* from 0 to 6"),
        ("0 9-5 * * *", "hour of a cron .* got '9-5'"),
        ("*/0 * * * *", "minute of a cron .* got '\\*/0'"),
        ("@daily - - - -", "minute of a cron .* got '@daily'"),
    ],
)
def test_a_wrong_cron_is_told_which_field_is_wrong(cron: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Schedule(cron=cron)


@pytest.mark.parametrize("both", [{}, {"cron": "0 3 * * *", "every": "1d"}])
def test_a_schedule_is_a_cron_or_an_interval(both: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of `cron` and `every`"):
        Schedule.model_validate(both)


def test_an_interval_is_a_minute_at_least() -> None:
    assert Schedule.model_validate({"every": "1d"}).every == timedelta(days=1)
    with pytest.raises(ValidationError, match="at least 60s"):
        Schedule.model_validate({"every": "30s"})
