"""A declaration drafted from a table: whatever the table, it is valid and true to the rows."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.errors import KontinualError, LakeError
from kontinual.lake import Draft, Lake, draft_loop, ingest_history, read_table
from kontinual.lake.draft.pace import Pace
from kontinual.model import quality
from kontinual.spec import AlertKind, CategoryFeature, parse_duration, parse_loop

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))
CELLS = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "small": st.integers(0, 12),
    "number": st.floats(),
    "tiny": st.floats(-1e-300, 1e-300),
    "flag": st.booleans(),
    "text": st.text(),
    "word": st.sampled_from(["yes", "no", "null", "1", "1e3", "", " a: b", "- #x", "🛫", '"\n\\']),
    "day": st.builds(date, st.integers(1990, 2030), st.integers(1, 12), st.integers(1, 28)),
    "bytes": st.binary(),
    "list": st.lists(st.integers()),
}
NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,62}\Z").map(lambda name: f"f_{name}"[:63])


@st.composite
def columns(draw: st.DrawFn, rows: int) -> list[Any]:
    kinds = draw(
        st.sampled_from([*([kind] for kind in CELLS), ["small", "word"], ["number", "text"]])
    )
    values = st.one_of(*(CELLS[kind] for kind in kinds))
    if draw(st.booleans()):
        values = st.none() | values
    few = draw(st.lists(values, min_size=1, max_size=rows))
    return draw(st.lists(st.sampled_from(few), min_size=rows, max_size=rows))


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(2, 30))
    times = draw(st.lists(MOMENTS, min_size=rows, max_size=rows))
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))]
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    features = {name: pd.Series(draw(columns(rows))) for name in names}
    features["usable"] = pd.Series(range(rows))
    roles = {"id": [f"r{i}" for i in range(rows)], "time": pd.to_datetime(times, utc=True)}
    return pd.DataFrame({**roles, **features, "label": labels})


def draft(frame: pd.DataFrame, **more: Any) -> Draft:
    wish = {"name": "rain", "id": "id", "time": "time", "label": "label", "history": "rain.csv"}
    return draft_loop(frame, **(wish | more))


def hourly(rows: int = 2000, **features: Any) -> pd.DataFrame:
    """Rows one hour apart with a label that is 1 in every third."""
    index = np.arange(rows)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in index],
            "time": pd.date_range(FIRST, periods=rows, freq="1h"),
            **(features or {"x": index % 7}),
            "label": (index % 3 == 0).astype(int),
        }
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame=tables())
def test_whatever_the_table_the_draft_is_valid_and_true_to_its_rows(frame: pd.DataFrame):
    names = set(frame.columns) - {"id", "time", "label"}
    made = draft(frame)
    assert parse_loop(made.text) == made.loop
    assert set(made.loop.data.feature_names) | set(made.left_out) == names
    assert not set(made.loop.data.feature_names) & set(made.left_out)
    for feature in made.loop.data.features:
        column = frame[feature.name]
        seen = [value for value in column if value is not None and value == value]
        assert feature.nullable == (len(seen) < len(column))
        if isinstance(feature, CategoryFeature):
            assert feature.vocabulary == sorted(set(map(str, seen)))
        else:
            low, high = feature.range
            assert all(low <= value <= high for value in seen)


@given(
    name=st.from_regex(r"\A[a-z]([a-z0-9-]{0,40}[a-z0-9])?\Z"),
    history=st.text(min_size=1),
    delay=st.timedeltas(timedelta(seconds=1), timedelta(days=10_000)),
)
@settings(max_examples=50, deadline=None)
def test_names_and_lengths_go_into_the_declaration_as_they_are(
    name: str, history: str, delay: timedelta
):
    loop = draft(hourly(10), name=name, history=history, delay=delay).loop
    assert (loop.name, loop.data.history.table) == (name, history)
    assert abs(loop.data.label.delay - delay) <= timedelta(seconds=1)


def test_a_range_is_what_was_seen_and_a_tenth_more_but_not_past_zero():
    index = np.arange(2000)
    made = draft(hourly(price=index / 10, degrees=(index % 500) / 10 - 20, day=index % 7))
    ranges = {f.name: f.range for f in made.loop.data.features}
    assert ranges["price"] == (0, 220)
    assert ranges["degrees"] == (-25, 35)
    assert ranges["day"] == (0, 6), "every number between was seen, so these are the ends"


@pytest.mark.parametrize("unit", ["miles", "°F", "%", "m/s", "no", "a: b"])
def test_units_stand_as_they_are_given(unit: str):
    assert draft(hourly(), units={"x": unit}).loop.data.feature("x").unit == unit


def test_a_feature_that_moves_with_time_alerts_no_one():
    rng = np.random.default_rng(0)
    rows = 4000
    frame = hourly(
        rows, steady=rng.normal(size=rows), warmth=np.arange(rows) + rng.normal(size=rows)
    )
    made = draft(frame)
    assert [f.name for f in made.loop.data.features if f.seasonal] == ["warmth"]
    assert made.loop.validation.max_drift_by_feature == {"warmth": 1.0}
    assert made.loop.monitoring.alert(AlertKind.FEATURE_DRIFT) is not None
    alone = draft(frame.drop(columns="steady")).loop.monitoring
    assert alone.alert(AlertKind.FEATURE_DRIFT) is None, "there is no feature left to watch"


def test_what_tells_nothing_is_left_out_with_the_reason():
    frame = hourly(
        x=np.arange(2000) % 7,
        same=1.5,
        word="EWR",
        key=[f"k{i}" for i in range(2000)],
        seen_at=pd.date_range(FIRST, periods=2000, freq="1h"),
        empty=np.nan,
        endless=np.where(np.arange(2000) == 5, math.inf, 1.0),
        counter=2**60 + np.arange(2000),
    )
    made = draft(frame)
    assert made.loop.data.feature_names == ["x"]
    assert made.left_out == {
        "same": "every row has the same value, 1.5",
        "word": "every row has the same value, 'EWR'",
        "key": "2000 different texts in 2000 rows: an id, or free text",
        "seen_at": "a time: make numbers of it, such as the hour or the days since",
        "empty": "no row has a value",
        "endless": "it holds values that are infinite, or too great for float32",
        "counter": "its whole numbers are greater than 2^53: an id?",
    }
    for name, reason in made.left_out.items():
        assert f"    # {name}: {reason}\n" in made.text


def test_numbers_with_a_decimal_comma_are_no_category():
    texts = [f"{i % 40},{i % 10}" for i in range(2000)]
    made = draft(hourly(temperature=texts, x=np.arange(2000) % 7))
    assert made.loop.data.feature_names == ["x"]
    assert made.left_out["temperature"].startswith("numbers with a decimal comma, such as 0,0: ")


def test_small_categories_become_slices_with_a_gate_and_an_alert():
    index = np.arange(2000)
    made = draft(
        hourly(
            many=[f"c{i % 40}" for i in index],
            four=[f"c{i % 4}" for i in index],
            three=[f"c{i % 3}" for i in index],
            two=[f"c{i % 2}" for i in index],
        )
    ).loop
    assert made.data.slices == ["two", "three"]
    assert "slices" in {gate.on for gate in made.gates}
    assert made.monitoring.alert(AlertKind.GROUP_BIAS) is not None


@given(
    first=st.datetimes(datetime(2000, 1, 1), datetime(2020, 1, 1)),
    length=st.timedeltas(timedelta(hours=3), timedelta(days=3000)),
)
@settings(max_examples=200, deadline=None)
def test_a_history_is_cut_into_three_spans_at_least_and_the_last_is_no_short_rest(
    first: datetime, length: timedelta
):
    pace = Pace(pd.Series(pd.to_datetime([first, first + length], utc=True)))
    reach = first + length - first.replace(hour=0, minute=0, second=0, microsecond=0)
    full, rest = divmod(reach, pace.span)
    assert 3 <= full + (rest > timedelta(0)) <= 40
    assert rest == timedelta(0) or rest > pace.span / 2


@pytest.mark.parametrize(
    ("every", "window"), [("1s", "1h"), ("1min", "1d"), ("1h", "90d"), ("1D", "90d")]
)
def test_the_window_is_the_shortest_in_which_a_thousand_rows_come(every: str, window: str):
    frame = hourly().assign(time=pd.date_range(FIRST, periods=2000, freq=every))
    assert f"  window: {window}  #" in draft(frame).text


@pytest.mark.parametrize(
    ("share", "window", "min_rows", "threshold"),
    [(0.5, None, None, 0.04), (0.1, "7d", 1000, 0.06), (0.02, "7d", 5000, 0.06)],
)
def test_rare_positives_are_judged_by_more_rows_and_never_by_what_chance_does(
    share: float, window: str | None, min_rows: int | None, threshold: float
):
    rows = 40_000
    frame = hourly(rows).assign(time=pd.date_range(FIRST, periods=rows, freq="1min"))
    made = draft(frame.assign(label=(np.arange(rows) % round(1 / share) == 0).astype(int))).loop
    alert = made.monitoring.alert(AlertKind.QUALITY_DECAY)
    assert alert is not None
    assert (alert.min_rows, alert.threshold) == (min_rows, threshold)
    assert alert.window == (parse_duration(window) if window else None)

    rng = np.random.default_rng(0)
    fewest = min_rows or made.monitoring.min_rows
    rarer = round(fewest * share)
    falls = []
    for _ in range(300):  # an AUC of 0.76, as on the holdout
        labels = np.repeat([1, 0], [rarer, fewest - rarer])
        scores = 1 / (1 + np.exp(-rng.normal(labels.astype(float))))
        falls.append(0.76 - quality(labels, scores).roc_auc)
    assert np.mean(np.array(falls) > threshold) < 0.06


def test_limits_are_wider_where_the_history_goes_beyond_the_usual_ones():
    rng = np.random.default_rng(0)
    rows = 4000
    third = np.arange(rows) * 3 // rows
    rain = np.where(rng.random(rows) < 0.05, rng.exponential(size=rows), 0.0)
    rain[rows // 2] = 80.0  # one cloudburst stretches the bins of its span
    gust = np.where(
        rng.random(rows) < np.array([0.2, 0.4, 0.6])[third], np.nan, 1 + rng.random(rows)
    )
    made = draft(hourly(rows, rain=rain, gust=gust, steady=rng.normal(size=rows)))
    validation = made.loop.validation
    assert set(validation.max_drift_by_feature) == {"rain", "gust"}
    assert [f.name for f in made.loop.data.features if f.seasonal] == ["gust"]
    assert 0.2 < validation.max_null_rise < 0.5
    assert "nulls of gust rose by 2" in made.text
    few = draft(hourly(120)).loop
    assert few.validation.min_rows < 60


def test_rows_of_one_moment_make_a_draft_as_well():
    assert draft(hourly().assign(time=FIRST)).loop.data.span == timedelta(hours=1)


@pytest.mark.parametrize(
    ("change", "wish", "message"),
    [
        ({"label": 2}, {}, r"column 'label', row 0: 2 is no label; it is 0 or 1"),
        ({"label": 1}, {}, r"column 'label' is 1 in every row; a model learns from rows with 0"),
        ({"id": "a"}, {}, r"column 'id', row 1: 'a' stands twice; ids are unique"),
        (
            {"time": "soon"},
            {},
            r"column 'time', row 0: 'soon' is no time from 1900 to 2200; write ISO",
        ),
        ({"Fare (USD)": 1}, {}, r"rename or leave out 'Fare \(USD\)' \(to fare_usd\?\)"),
        ({"2nd": 1}, {}, r"rename or leave out '2nd' \(to c_2nd\?\)"),
        ({"Öldruck (€)": 1}, {}, r"rename or leave out 'Öldruck \(€\)' \(to oeldruck\?\)"),
        ({"Café_Müller": 1}, {}, r"leave out 'Café_Müller' \(to cafe_mueller\?\)"),
        ({7: 1}, {}, r"rename or leave out 7 \(to c_7\?\)"),
        ({}, {"label": "rain"}, r"column 'rain' is missing; the columns are id, time, x, label"),
        ({}, {"leave_out": ["z"]}, r"column 'z' is missing"),
        ({}, {"leave_out": ["x"]}, r"no column is left as a feature"),
        ({}, {"units": {"time": "s"}}, r"a unit is that of a feature with numbers, x; but got one"),
        ({}, {"id": "time"}, r"id, time and label are three columns"),
        ({}, {"leave_out": ["time"]}, r"id, time and label are three columns, all needed"),
        ({}, {"name": "My Loop"}, r"begins with a letter, such as my-loop, but got"),
        ({}, {"name": "2024 demand"}, r"begins with a letter, such as demand, but got"),
    ],
)
def test_what_can_not_be_drafted_says_what_would_be_right(
    change: dict[Any, Any], wish: dict[str, Any], message: str
):
    with pytest.raises(KontinualError, match=message):
        draft(_with(hourly(), change), **wish)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_was_drafted_from_a_file_is_ingested_from_it(tmp_path: Path, suffix: str):
    pytest.importorskip("duckdb")
    index = np.arange(2000)
    frame = hourly(
        code=index % 9, share=index / 10, flag=index % 2 == 0, word=[f"w{i % 3}" for i in index]
    ).assign(id=[f"{i:05}" for i in index])
    frame.loc[::10, ["share", "word"]] = None
    path = tmp_path / f"rain.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    loop = draft(read_table(str(path), texts=["id"]), history=path.name).loop
    kinds = {f.name: (f.type, f.nullable) for f in loop.data.features}
    assert kinds == {
        "code": ("integer", False),
        "share": ("number", True),
        "flag": ("integer", False),
        "word": ("category", True),
    }
    lake = Lake((tmp_path / "lake").as_uri(), loop)
    spans = ingest_history(loop, lake, base=str(tmp_path))
    assert sum(span.rows for span in spans) == len(frame)
    assert len(spans) == math.ceil(2000 / 24 / 7)
    assert list(lake.read(1)["id"][:2]) == ["00000", "00001"]
    declared = {"code": "integer", "share": "number", "flag": "integer", "word": "text"}
    roles = {"id": "text", "time": "timestamp", "label": "integer"}
    assert [span.columns for span in spans] == [roles | declared] * len(spans)


def test_a_word_of_a_csv_that_may_be_a_value_or_null_is_pointed_out(tmp_path: Path):
    pytest.importorskip("duckdb")
    path = tmp_path / "rain.csv"
    hourly(300, place=["EU", "NA", "AS"] * 100).to_csv(path, index=False)

    made = draft(read_table(str(path), texts=["id"]), history=path.name)

    place = made.loop.data.feature("place")
    assert isinstance(place, CategoryFeature)
    assert (place.vocabulary, place.nullable) == (["AS", "EU"], True)
    comment = "in CSV, words such as NA and None are null where no vocabulary declares them"
    assert comment in made.text
    assert comment not in draft(hourly()).text


def test_names_that_stand_twice_and_empty_tables_are_refused():
    twice = pd.concat([hourly(), hourly()[["x"]]], axis=1)
    with pytest.raises(LakeError, match=r"\['x'\] stand twice"):
        draft(twice)
    with pytest.raises(LakeError, match="there are no rows"):
        draft(hourly().iloc[:0])


def _with(frame: pd.DataFrame, change: dict[Any, Any]) -> pd.DataFrame:
    changed = frame.copy()
    for name, value in change.items():
        changed[name] = value
    return changed
