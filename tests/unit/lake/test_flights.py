"""The flights example: its history has exactly what its declaration says."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from kontinual.spec import load_loop

FOLDER = Path(__file__).parents[3] / "examples" / "flights"


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("flights_prepare", FOLDER / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flights(prepare):
    return prepare.flights()


@pytest.fixture(scope="module")
def data():
    return load_loop(str(FOLDER / "loop.yaml")).data


def test_the_columns_are_those_of_the_declaration(flights, data):
    assert set(flights.columns) == {data.id, data.time, data.label.name, *data.feature_names}


def test_each_flight_that_arrived_is_one_row_in_order_of_departure(flights):
    assert len(flights) == 336_776 - 9_430  # all, less those without an arrival
    assert flights["flight_id"].is_unique
    assert flights["departure"].is_monotonic_increasing
    assert flights["departure"].dt.month.nunique() == 12


def test_a_known_flight_is_told_right(flights):
    # United 1545, the first of the year: scheduled 05:15 and 11 minutes late at Houston.
    row = flights[flights["flight_id"] == "20130101-UA1545-EWR-0515"].iloc[0]

    assert row["departure"] == pd.Timestamp("2013-01-01T05:15:00Z")
    assert (row["dest"], row["distance"], row["late"]) == ("IAH", 1400.0, 0)
    assert (row["day_of_week"], row["temp"]) == (1, 39.02)


def test_no_feature_tells_a_model_the_date(flights, data):
    """It would carry what one week was like into all that follow: they lie beyond any it learnt."""
    history = flights[flights["departure"].dt.month <= 2]
    ordinal = history["departure"].astype("int64").rank()
    numbers = [f.name for f in data.features if f.type != "category"]
    told = {name: abs(history[name].corr(ordinal, method="spearman")) for name in numbers}
    assert max(told.values()) < 0.5, told


def test_values_are_within_what_is_declared(flights, data):
    for feature in data.features:
        values = flights[feature.name].dropna()
        if feature.type == "category":
            assert set(values) <= set(feature.vocabulary)
        else:
            assert values.between(*feature.range).mean() > 0.999  # one hour has a wind of 1048 mph
        assert feature.nullable or flights[feature.name].notna().all()


def test_the_world_changes_from_month_to_month(flights):
    late = flights.groupby(flights["departure"].dt.month)["late"].mean()

    assert late.max() - late.min() > 0.15


def test_the_script_writes_the_history_up_to_a_day(prepare, flights, tmp_path, monkeypatch):
    import typer

    monkeypatch.setattr(prepare, "flights", lambda: flights)
    app = typer.Typer()
    app.command()(prepare.main)
    out = tmp_path / "new" / "history.parquet"

    result = CliRunner().invoke(app, [str(out), "--until", "2013-02-01"])

    assert result.exit_code == 0
    assert "26398 flights" in result.output
    assert len(pd.read_parquet(out)) == 26_398
    assert [p.name for p in out.parent.iterdir()] == ["history.parquet"]


def test_the_repeated_hour_of_dst_doubles_no_flight(prepare):
    flown = pd.DataFrame(
        {
            "month": [11], "day": [3], "hour": [1], "minute": [30], "year": [2013],
            "carrier": ["UA"], "flight": [1], "origin": ["EWR"], "dest": ["IAH"],
            "distance": [1400], "arr_delay": [15.0],
        }
    )  # fmt: skip
    hour = {"origin": "EWR", "month": 11, "day": 3, "hour": 1}
    weather = pd.DataFrame([{**hour, **dict.fromkeys(prepare.WEATHER, v)} for v in (1.0, 2.0)])

    built = prepare.build(flown, weather)

    assert len(built) == 1
    assert built.loc[0, "temp"] == 1.0
    assert built.loc[0, "late"] == 0  # 15 minutes are not more than 15
