"""The demo's own parts: options, traffic, score."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kontinual.errors import SpecError
from kontinual.local.demo.options import DemoOptions, parse_months
from kontinual.local.demo.replay import Answer
from kontinual.local.demo.score import Scoreboard
from kontinual.local.demo.traffic import Row, Traffic
from kontinual.spec import load_loop

LOOP = load_loop("examples/flights/loop.yaml")


def table(per_month: int = 1000) -> pd.DataFrame:
    """Flights of March and April, evenly in time."""
    times = pd.concat(
        [
            pd.Series(pd.date_range(f"2013-{m:02}-01", periods=per_month, freq="40min", tz="UTC"))
            for m in (3, 4)
        ],
        ignore_index=True,
    )
    frame = pd.DataFrame({f.name: 1.0 for f in LOOP.data.features}, index=range(len(times)))
    for name in ("origin", "carrier", "dest"):
        frame[name] = LOOP.data.feature(name).vocabulary[0]
    frame["temp"] = np.where(np.arange(len(times)) % 10, 50.0, np.nan)
    return frame.assign(flight_id=[f"F{i}" for i in range(len(times))], departure=times, late=0)


def rows_of(requests: Iterable[tuple[Row, ...]]) -> list[Row]:
    return [row for request in requests for row in request]


def traffic(**choices) -> Traffic:
    options = DemoOptions(rows_per_month=200, **{"months": (3, 4), **choices})
    return Traffic(table(), np.zeros(2000), loop=LOOP, options=options)


@pytest.mark.parametrize(
    ("text", "months"), [("3-5", (3, 4, 5)), ("7", (7,)), ("3-12", tuple(range(3, 13)))]
)
def test_months_are_a_range_or_one(text, months):
    assert parse_months(text) == months


@pytest.mark.parametrize("text", ["1-3", "5-4", "3-13", "", "spring", "x-4"])
def test_months_that_can_not_be_replayed_are_refused_with_the_value(text):
    with pytest.raises(SpecError, match=f"--months takes a range within 3-12.*{text!r}"):
        parse_months(text)


def test_a_poisoned_month_has_to_be_among_the_replayed():
    with pytest.raises(SpecError, match=r"--poison takes one of the replayed months \[3, 4\]"):
        DemoOptions(months=(3, 4), poison=9)


def test_quiet_traffic_is_thinned_evenly_and_is_the_same_for_a_seed():
    rows = rows_of(traffic(seed=3))
    assert 330 < len(rows) < 470  # 200 a month, by luck of the id
    assert [r.instance["flight_id"] for r in rows] == [
        r.instance["flight_id"] for r in rows_of(traffic(seed=3))
    ]
    assert rows != rows_of(traffic(seed=4))
    assert [r.time for r in rows] == sorted(r.time for r in rows)


def test_the_calendar_stands_still_while_a_run_goes_on_and_each_row_is_sent_once():
    stream, rows = traffic(), []
    for request in stream:
        rows += request
        stream.held = 100 <= len(rows) < 400
    extra = [r for r in rows if r.extra]
    calendar = [r for r in rows if not r.extra]
    assert len(extra) == 300
    assert [r.instance["flight_id"] for r in calendar] == [
        r.instance["flight_id"] for r in rows_of(traffic())
    ]
    assert len({r.instance["flight_id"] for r in rows}) == len(rows)
    held_at = rows[99].time
    assert all(held_at - timedelta(days=30) <= r.time <= rows[400].time for r in extra)


def test_a_request_asks_for_several_rows_of_the_calendar_but_for_one_extra_row():
    stream, requests = traffic(rows_per_request=7), []
    for request in stream:
        requests.append(request)
        stream.held = 10 <= len(requests) < 30

    assert {len(r) for r in requests[:10] + requests[30:-1]} == {7}
    assert [len(r) for r in requests[10:30]] == [1] * 20
    assert all(r[0].extra for r in requests[10:30])
    assert len(rows_of(requests)) == len(stream) + 20


def test_a_run_that_outlasts_the_calendar_goes_on_to_have_traffic():
    stream, rows = traffic(), []
    for request in stream:
        rows += request
        stream.held = len(rows) >= len(stream)
    assert [r.extra for r in rows[: len(stream)]] == [False] * len(stream)
    assert len(rows) > len(stream) + 500


def test_nulls_travel_as_null_and_poison_changes_units_of_its_month_alone():
    rows = rows_of(traffic(poison=4))
    assert {r.instance["temp"] for r in rows if r.month == 3} == {50.0, None}
    assert {r.instance["temp"] for r in rows if r.month == 4} == {10.0, None}
    assert {r.instance["distance"] for r in rows if r.month == 4} == {1.609344}


def answers(rng: np.random.Generator, rows: int, month: int) -> list[Answer]:
    return [
        Answer(
            Row({}, int(label), datetime(2013, month, 1, tzinfo=UTC), month, float(frozen)),
            float(score),
            "2",
        )
        for label, score, frozen in zip(
            rng.integers(0, 2, rows), rng.random(rows), rng.random(rows), strict=True
        )
    ]


def test_the_score_is_that_of_scikit_learn_on_the_same_rows():
    board, rng = Scoreboard(), np.random.default_rng(0)
    march, april = answers(rng, 1300, 3), answers(rng, 1700, 4)
    for answer in march + april:
        board.add(answer)
    for month, some in ((3, march), (4, april), (None, march + april)):
        labels = [a.row.label for a in some]
        served, frozen = board.champion(month), board.frozen(month)
        assert served is not None
        assert frozen is not None
        assert served.roc_auc == pytest.approx(roc_auc_score(labels, [a.score for a in some]))
        assert frozen.roc_auc == pytest.approx(roc_auc_score(labels, [a.row.frozen for a in some]))
    assert len(board.points()) == 3


def test_a_long_replay_is_drawn_in_blocks_long_enough_to_see_something():
    board, rng = Scoreboard(), np.random.default_rng(0)
    for month in range(3, 13):
        for answer in answers(rng, 7700, month):
            board.add(answer)
    assert 30 <= len(board.points()) <= 36


def test_no_quality_is_claimed_where_only_one_label_was_seen():
    board = Scoreboard()
    board.add(Answer(Row({}, 1, datetime(2013, 3, 1, tzinfo=UTC), 3, 0.5), 0.5, "1"))
    assert board.champion(3) is None
