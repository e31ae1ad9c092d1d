"""Real seasons pass, each poison is refused by name, and what people say stands."""

import json
import threading
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from kontinual.errors import LakeError
from kontinual.lake import Lake, Verdict
from kontinual.steps.ingest import ingest
from kontinual.steps.validate import validate
from kontinual.validation import (
    SchemaStore,
    accept,
    ensure_schema,
    examine,
    is_open,
    propose,
    rules_of,
    validate_span,
)
from kontinual.validation.schema import expectations
from kontinual.validation.subject import of_frame

pytestmark = pytest.mark.data

SAMPLE = 1500


def window(flights, start, days, *, seed, rows=SAMPLE):
    first = pd.Timestamp(start, tz="UTC")
    inside = flights["departure"].between(first, first + pd.Timedelta(days=days), inclusive="left")
    chosen = flights[inside]
    return chosen.sample(min(rows, len(chosen)), random_state=seed).reset_index(drop=True)


@pytest.fixture
def judge(loop, lake, tmp_path):
    """Writes rows as a span and validates it."""

    def run(frame, source="collector"):
        number = lake.write(frame, source=source).number
        return validate_span(loop, lake, number, report=tmp_path / f"{number}.html")

    return run


@pytest.fixture
def may(flights, judge):
    """An accepted May; June, to be poisoned."""
    assert judge(window(flights, "2013-05-01", 31, seed=1), "history").accepted
    return window(flights, "2013-06-01", 30, seed=2)


def test_every_month_of_a_real_year_is_accepted(flights, judge):
    month = flights["departure"].dt.month
    for number in range(1, 13):
        verdict = judge(flights[month == number], "history" if number < 3 else "collector")
        assert verdict.accepted, f"month {number}: {verdict.reasons}"
        assert verdict.tfdv_version


def test_small_samples_of_neighbouring_weeks_are_accepted(flights, loop, lake):
    lake.write(window(flights, "2013-01-01", 30, seed=0), source="history")
    schema, _ = ensure_schema(loop, lake)
    rng = np.random.default_rng(11)
    for seed in range(24):
        start = pd.Timestamp("2013-01-01") + pd.Timedelta(days=float(rng.uniform(0, 270)))
        first, second = rng.uniform(15, 45, 2)
        before = window(flights, start, first, seed=seed)
        now = window(flights, start + pd.Timedelta(days=first), second, seed=seed + 1)
        subjects = (of_frame(f, loop, expectations(schema)) for f in (now, before))
        result = examine(*subjects, None, loop=loop, schema=schema)
        assert result.reasons == [], f"{start} {first:.0f} {second:.0f} days"


def test_small_served_spans_are_accepted_long_after_the_history(flights, judge):
    """As in a loop that retrains now and then: two large spans of winter, then a year of small."""
    month = flights["departure"].dt.month
    for number in (1, 2):
        assert judge(flights[month == number], "history").accepted
    for number in range(3, 13):
        verdict = judge(flights[month == number].sample(SAMPLE, random_state=number))
        assert verdict.accepted, f"month {number}: {verdict.reasons}"


@pytest.mark.parametrize(("before", "now"), [(2, 5), (3, 6), (6, 9), (8, 11)])
def test_a_quarter_without_an_accepted_span_is_no_reason_to_refuse(flights, judge, before, now):
    month = flights["departure"].dt.month
    for number in (before, now):
        verdict = judge(flights[month == number].sample(SAMPLE, random_state=number))
        assert verdict.accepted, f"month {number}: {verdict.reasons}"


def without_carrier(frame):
    return frame.drop(columns="carrier")


def with_new_airports(frame):
    rows = frame.sample(frac=0.2, random_state=0).index
    frame.loc[rows, "dest"] = "ZZZ"
    return frame


def in_celsius(frame):
    return frame.assign(temp=(frame["temp"] - 32) / 1.8)


def in_kilometres(frame):
    return frame.assign(distance=(frame["distance"] * 1.609344).round())


def with_a_leak(frame):
    frame.loc[frame["late"] == 1, "precip"] = 0.77
    return frame


def with_nulls(frame):
    frame.loc[frame.sample(frac=0.3, random_state=0).index, "temp"] = np.nan
    return frame


def with_an_infinite_value(frame):
    frame.loc[3, "temp"] = np.inf
    return frame


def with_a_value_beyond_float32(frame):
    frame.loc[3, "distance"] = -1e300
    return frame


def with_nulls_in_a_category(frame):
    frame.loc[frame.sample(frac=0.3, random_state=0).index, "origin"] = None
    return frame


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (without_carrier, "`carrier`: the column is missing"),
        (
            with_new_airports,
            "`dest`: 20 % of its values are not in the vocabulary, above all 'ZZ",
        ),
        (in_celsius, "`temp`: its unit seems to have changed, as if °F became °C"),
        (in_kilometres, "`distance`: its unit seems to have changed, as if miles became kilometre"),
        (with_a_leak, "`precip`: it gives the label `late` away: being 0.77 or not alone"),
        (with_nulls, "`temp`: 30 % of its values are null"),
        (with_nulls_in_a_category, "`origin`: 30 % of its values are null"),
        (with_an_infinite_value, "`temp`: 0.07 % of its values (1 rows) are infinite"),
        (
            with_a_value_beyond_float32,
            "`distance`: 0.07 % of its values (1 rows) are infinite, or too great for float32",
        ),
    ],
)
def test_a_poison_is_refused_by_name(may, judge, lake, tmp_path, poison, reason):
    verdict = judge(poison(may))
    assert not verdict.accepted
    assert verdict.reasons[0].startswith(reason)
    assert [s.number for s in lake.accepted()] == [1]
    page = (tmp_path / "2.html").read_text(encoding="utf-8")
    assert "Span 2 of flights: rejected" in page
    assert f"TFDV</dt><dd>{verdict.tfdv_version}" in page
    assert "http" not in page


def test_a_release_upstream_in_the_middle_of_a_span_is_refused(flights, judge):
    assert judge(window(flights, "2013-03-01", 31, seed=1), "history").accepted
    frame = window(flights, "2013-04-01", 61, seed=2, rows=2 * SAMPLE)
    late = frame["departure"] >= pd.Timestamp("2013-05-01", tz="UTC")
    frame.loc[late, "distance"] *= 1.609344
    frame.loc[late, "temp"] = (frame.loc[late, "temp"] - 32) / 1.8
    verdict = judge(frame)
    assert not verdict.accepted
    assert verdict.reasons[0].startswith("`distance`: its unit seems to have changed from 2013-0")


def test_after_a_refused_span_the_next_one_is_compared_with_the_last_accepted(may, judge, lake):
    assert not judge(in_celsius(may)).accepted
    assert judge(may).accepted
    assert [s.number for s in lake.accepted()] == [1, 3]


def test_a_persons_verdict_stands_and_is_not_judged_again(may, judge, loop, lake, tmp_path):
    judge(in_kilometres(may))
    lake.judge(Verdict(span=2, accepted=True, by="Ada", reasons=["agreed"], at=datetime.now(UTC)))
    again = validate_span(loop, lake, 2, report=tmp_path / "again.html")
    assert (again.by, again.accepted) == ("Ada", True)
    assert len(lake.verdicts(2)) == 2
    page = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert "Ada accepted this span" in page
    assert "miles became kilometres" in page


def test_a_damaged_span_is_no_verdict(may, lake, loop, tmp_path):
    manifest = lake.write(may, source="collector")
    data = tmp_path / "lake" / "flights" / "spans" / "000002" / manifest.data_file
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(LakeError, match="damaged"):
        validate_span(loop, lake, 2, report=tmp_path / "2.html")
    assert lake.verdict(2) is None


def test_the_schema_is_inferred_once_and_evolved_by_a_person(may, judge, loop, lake):
    first = judge(with_new_airports(may))
    assert not first.accepted
    kept = SchemaStore(lake).versions()
    assert [(v.version, v.by, v.span) for v in kept] == [(1, "inferred", 1)]
    proposal = propose(loop, lake, span=2)
    assert proposal.changes == ["`dest`: the vocabulary gains 'ZZZ'"]
    about = accept(lake, proposal, by="Ada", reason="a new airport opened")
    assert about is not None
    assert (about.version, about.by, about.changes) == (2, "Ada", proposal.changes)
    assert accept(lake, propose(loop, lake, span=2), by="Ada", reason="again") is None


def test_who_leaves_out_a_leak_after_the_first_refusal_has_mended_all(
    flights, loop, tmp_path, monkeypatch
):
    monkeypatch.setattr("kontinual.steps.ingest.ingest_labelled", lambda *_, **__: None)
    months = [window(flights, f"2013-{m:02}-01", 28, seed=0) for m in (1, 2)]
    rows = pd.concat(months).assign(telling=lambda f: f[loop.data.label.name] * 100.0)
    rows.to_parquet(tmp_path / "history.parquet")
    told = loop.model_dump(mode="json", by_alias=True, exclude_none=True)
    honest = told["data"]["features"]
    leak = {"name": "telling", "type": "number", "range": [0, 100]}
    path = tmp_path / "loop.yaml"

    def attempt(run, features):
        path.write_text(json.dumps(told | {"data": told["data"] | {"features": features}}))
        number = ingest(str(path), run).number
        return validate(str(path), run, number, report=tmp_path / f"{run}.html")

    first = attempt("first", [*honest, leak])
    assert "`telling`: it gives the label" in first.reasons[0]
    with pytest.raises(LakeError, match="every one was refused; `kontinual span show` tells why"):
        attempt("again", [*honest, leak])

    second = attempt("second", honest)

    assert second.accepted, second.reasons
    lake = Lake(str(tmp_path / ".kontinual" / "lake"), loop)
    assert [s.number for s in lake.accepted()] == [s.number for s in lake.spans()]
    kept = [(v.by, v.changes) for v in SchemaStore(lake).versions()]
    assert kept == [("inferred", []), ("inferred", ["`telling`: no longer a column"])]


def test_an_accepted_schema_has_the_refused_span_judged_again(may, judge, loop, lake):
    assert not judge(with_new_airports(may)).accepted
    assert not is_open(lake.verdict(2), rules=rules_of(loop, lake))
    accept(lake, propose(loop, lake, span=2), by="Ada", reason="a new airport opened")
    assert is_open(lake.verdict(2), rules=rules_of(loop, lake))


def test_of_two_who_accept_at_once_one_is_told(may, judge, loop, lake):
    judge(with_new_airports(may))
    proposal = propose(loop, lake, span=2)
    errors, barrier = [], threading.Barrier(2)

    def run(name):
        barrier.wait()
        try:
            accept(lake, proposal, by=name, reason="both at once")
        except LakeError as exc:
            errors.append(str(exc))

    threads = [threading.Thread(target=run, args=(n,)) for n in ("Ada", "Bob")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(errors) == 1
    assert "schema version 2 was made by someone else meanwhile" in errors[0]
    assert len(SchemaStore(lake).versions()) == 2


def test_thirty_thousand_rows_take_seconds(flights, judge):
    import time

    month = flights["departure"].dt.month
    judge(flights[month == 3], "history")
    started = time.monotonic()
    assert judge(flights[month == 4], "collector").accepted
    assert time.monotonic() - started < 30
