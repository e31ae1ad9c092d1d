import subprocess
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.errors import LakeError
from kontinual.lake import Lake, is_holdout
from kontinual.spec import NumberFeature

DAY = timedelta(days=1)
MOMENTS = st.lists(
    st.datetimes(
        min_value=pd.Timestamp("1970-01-01").to_pydatetime(),
        max_value=pd.Timestamp("2100-01-01").to_pydatetime(),
    ),
    max_size=50,
).map(lambda moments: pd.Series(pd.to_datetime(moments, utc=True)))
BLOCKS = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=60))


def hours(n, *, start="2013-01-01"):
    return pd.Series(pd.date_range(start, periods=n, freq="h", tz="UTC"))


@given(times=MOMENTS, share=st.floats(0, 1), block=BLOCKS, seed=st.randoms())
def test_a_row_is_holdout_by_its_time_alone(times, share, block, seed):
    alone = {t: bool(is_holdout(pd.Series([t]), share, block)[0]) for t in times}
    shuffled = list(times)
    seed.shuffle(shuffled)

    found = is_holdout(pd.Series(pd.to_datetime(shuffled, utc=True)), share, block)

    assert found.tolist() == [alone[t] for t in shuffled]


@given(times=MOMENTS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), block=BLOCKS)
def test_a_greater_share_only_adds_rows(times, shares, block):
    small, great = sorted(shares)

    assert (is_holdout(times, small, block) <= is_holdout(times, great, block)).all()


@given(day=st.integers(0, 40_000), share=st.floats(0, 1))
def test_the_rows_of_a_day_stand_on_one_side(day, share):
    times = hours(24, start=pd.Timestamp(day, unit="D"))

    assert len(set(is_holdout(times, share, DAY))) == 1


@pytest.mark.parametrize("days", [30, 90, 365])
@pytest.mark.parametrize("start", ["2013-01-01", "2013-06-13", "2026-11-02"])
def test_the_share_is_met_in_every_stretch_of_time(days, start):
    held = is_holdout(hours(24 * days, start=start), 0.2, DAY)

    assert held.mean() == pytest.approx(0.2, abs=1.5 / days)


def test_every_weekday_and_month_gets_its_share():
    times = hours(24 * 3652)
    held = pd.Series(is_holdout(times, 0.2, DAY))

    for group in (times.dt.dayofweek, times.dt.month, times.dt.day):
        assert held.groupby(group).mean().between(0.15, 0.25).all()


def test_bounds_hold_none_and_all():
    assert not is_holdout(hours(1000), 0, DAY).any()
    assert is_holdout(hours(1000), 1, DAY).all()
    assert is_holdout(hours(0), 0.5, DAY).shape == (0,)


def test_it_never_changes_from_one_process_or_release_to_the_next():
    code = (
        "import pandas as pd; from datetime import timedelta;"
        "from kontinual.lake import is_holdout;"
        "days = pd.Series(pd.date_range('2013-01-01', periods=12, tz='UTC'));"
        "print(is_holdout(days, 0.3, timedelta(days=1)).nonzero()[0].tolist())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    days = pd.Series(pd.date_range("2013-01-01", periods=12, tz="UTC"))
    assert other.stdout.strip() == "[2, 7, 10]"
    assert np.flatnonzero(is_holdout(days, 0.3, DAY)).tolist() == [2, 7, 10]


def test_training_and_holdout_share_no_day_and_lose_no_row(lake, rows, verdict):
    lake.write(rows(400), source="table")
    lake.write(rows(400, first=400), source="table")
    lake.judge(verdict(1))

    training = lake.training_rows(2, seed=1).read()
    held = pd.concat([lake.holdout_rows(1).read(), lake.holdout_rows(2).read()])

    assert not set(training["at"].dt.date) & set(held["at"].dt.date)
    assert len(set(training["order"]) | set(held["order"])) == 800
    assert np.isclose(len(held) / 800, 0.25, atol=0.06)


@pytest.fixture
def daily(lake, rows, verdict):
    """Thirty accepted spans of a day each, of which every fourth or so is held out."""
    for day in range(30):
        lake.write(rows(24, first=24 * day), source="collector")
        lake.judge(verdict(day + 1))
    return lake


def test_where_a_span_holds_out_few_blocks_those_before_it_are_new_as_well(daily):
    numbers, rows = daily.recent_holdout(30)
    held = rows.read()

    assert numbers == list(range(numbers[0], 31))
    assert numbers[0] > 1
    assert held["at"].dt.date.nunique() == 4
    one_by_one = pd.concat([daily.holdout_rows(n).read() for n in numbers], ignore_index=True)
    pd.testing.assert_frame_equal(held, one_by_one)


def test_small_spans_are_judged_by_as_many_rows_as_the_gates_ask_for(lake, rows, verdict):
    """Of a few rows a day, no span alone holds out a gate's 90."""
    sparse = rows(24 * 400).iloc[::8].reset_index(drop=True)
    for number, first in enumerate(range(0, len(sparse), 60), start=1):
        lake.write(sparse[first : first + 60], source="collector")
        lake.judge(verdict(number))

    numbers, held = lake.recent_holdout(20)

    assert len(held) >= 90
    assert len(held) - len(lake.holdout_rows(numbers[0])) < 90


def test_a_rare_label_is_looked_for_in_earlier_spans_too(lake, rows, verdict):
    frame = rows(24 * 400)
    frame["returned"] = (frame.index % 97 == 0).astype(int)
    for number, first in enumerate(range(0, len(frame), 480), start=1):
        lake.write(frame[first : first + 480], source="collector")
        lake.judge(verdict(number))

    numbers, held = lake.recent_holdout(20)

    positives = held.read().query("returned == 1")
    assert positives["at"].dt.date.nunique() >= 4
    assert len(numbers) > 1


def test_a_span_with_enough_blocks_is_new_alone(lake, rows, verdict):
    for number in (1, 2):
        lake.write(rows(24 * 40, first=24 * 40 * (number - 1)), source="table")
        lake.judge(verdict(number))

    numbers, rows = lake.recent_holdout(2)

    assert numbers == [2]
    pd.testing.assert_frame_equal(rows.read(), lake.holdout_rows(2).read())


def test_what_was_refused_or_lacks_a_declared_column_is_not_new(daily, loop, verdict):
    held_out = [n for n in range(1, 31) if len(daily.holdout_rows(n))]
    daily.judge(verdict(held_out[-2], accepted=False))
    assert held_out[-2] not in daily.recent_holdout(30)[0]

    more = [*loop.data.features, NumberFeature(name="new", type="number", range=(0, 1))]
    grown = loop.model_copy(update={"data": loop.data.model_copy(update={"features": more})})
    later = Lake("unused", grown, store=daily.store)
    frame = daily.read(30).assign(new=0.5)
    frame["order"] = "later-" + frame["order"]
    frame["at"] += DAY
    while is_holdout(frame["at"], 0.25, DAY).any():
        frame["at"] += DAY
    later.write(frame, source="collector")
    with pytest.raises(LakeError, match="span 31 and those before it hold no held-out row"):
        later.recent_holdout(31)
