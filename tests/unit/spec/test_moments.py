"""What is a time is said once: a predictor answers no row that the collector would refuse."""

from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kontinual.spec import moment_of

OFFSETS = st.none() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2200, 12, 31), timezones=OFFSETS),
    separator=st.sampled_from("T "),
    timespec=st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_a_moment_in_iso_8601_is_read_as_it_was_written(
    moment: datetime, separator: str, timespec: str
) -> None:
    text = moment.isoformat(separator, timespec)
    assert moment_of(text) == datetime.fromisoformat(text)


@given(
    date=st.sampled_from(["2013-05-01", "2012-02-29", "2013-02-29", "1899-12-31", "2200-12-31"]),
    clock=st.from_regex(r"[T ][0-2]\d:[0-6]\d(:[0-6]\d(\.\d{1,9})?)?", fullmatch=True),
    offset=st.from_regex(r"(Z|[+-][0-2]\d:[0-9]\d)?", fullmatch=True),
)
def test_whatever_is_a_moment_is_one_to_pydantic_and_to_pandas(
    date: str, clock: str, offset: str
) -> None:
    moment = moment_of(date + clock + offset)
    if moment is not None:
        whole = moment.replace(microsecond=0)
        assert TypeAdapter(datetime).validate_python(date + clock + offset) == moment
        assert pd.Timestamp(date + clock + offset).floor("s") == whole


@pytest.mark.parametrize(
    "text",
    [
        "2013-05-01T10:00:00+05:60",
        "2013-05-01T10:00:00+24:00",
        "2013-05-01T10:00:00+0500",
        "2013-05-01T10:00:60Z",
        "2013-05-01T25:00:00Z",
        "2013-02-29T10:00:00Z",
        "1899-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
        "2013-05-01",
        "2013-W18-3T10:00:00",
        "20130501T100000",
        "2013-05-01T10:00:00.1234567891Z",
        "٢013-05-01T10:00:00Z",
        "2013-05-01T10:00:00Z\n",
        "yesterday",
        "",
    ],
)
def test_what_no_table_could_hold_is_no_moment(text: str) -> None:
    assert moment_of(text) is None
