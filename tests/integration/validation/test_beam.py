"""Large spans: described by Beam as they are in memory, and judged alike."""

import numpy as np
import pytest

from kontinual.errors import KontinualError, LakeError, SpecError
from kontinual.lake import Lake, spanfile
from kontinual.validation import beam, declared, look, validate_span
from kontinual.validation.subject import statistics_of

pytestmark = pytest.mark.data
NEVER = 10**9


def with_beam(loop, **changes):
    chosen = loop.validation.beam.model_copy(update=changes)
    limits = loop.validation.model_copy(update={"beam": chosen})
    return loop.model_copy(update={"validation": limits})


@pytest.fixture
def april(flights):
    return flights[flights["departure"].dt.month == 4].iloc[::7].reset_index(drop=True)


@pytest.fixture
def lakes(loop, tmp_path, monkeypatch):
    """The same lake twice: its spans are described in memory, and by Beam in many groups."""
    monkeypatch.setattr(spanfile, "GROUP_ROWS", 500)
    return [Lake(str(tmp_path / "lake"), with_beam(loop, min_rows=n)) for n in (NEVER, 1)]


def told(feature):
    """All that TFDV says of a column but the histograms, which are approximations."""
    copy = type(feature)()
    copy.CopyFrom(feature)
    moments = []
    if copy.HasField("num_stats"):
        moments = [copy.num_stats.mean, copy.num_stats.std_dev]
        for field in ("mean", "std_dev", "median", "histograms"):
            copy.num_stats.ClearField(field)
    return str(copy), moments


def test_beam_says_of_a_span_what_is_said_in_memory(lakes, april, loop):
    april["hour"] = april["hour"].astype(float)
    april.loc[::3, "hour"] = np.nan  # whole numbers with nulls, in some groups only
    april.loc[:600, "wind_speed"] = np.nan  # a group of nulls alone
    memory, beams = lakes
    memory.write(april, source="history")
    here, there = (statistics_of(lake, 1, declared(loop)) for lake in (memory, beams))
    assert there.datasets[0].num_examples == here.datasets[0].num_examples == len(april)
    found = [{f.path.step[0]: f for f in s.datasets[0].features} for s in (here, there)]
    assert found[0].keys() == found[1].keys()
    for name, feature in found[0].items():
        (here, moments), (there, other_moments) = told(feature), told(found[1][name])
        assert there == here
        assert other_moments == pytest.approx(moments)
        medians = [f.num_stats.median for f in (feature, found[1][name])]
        spread = feature.num_stats.max - feature.num_stats.min
        assert abs(medians[0] - medians[1]) <= 0.02 * spread


def with_other_values(frame):
    """Another unit, new categories, and a single null among all rows."""
    frame = frame.assign(temp=(frame["temp"] - 32) / 1.8, distance=frame["distance"].astype(float))
    frame.loc[::5, "dest"] = "ZZZ"
    frame.loc[len(frame) - 1, "distance"] = np.nan
    return frame


def with_other_columns(frame):
    """One is missing, and a single text among numbers makes another a column of texts."""
    frame = frame.drop(columns="carrier").astype({"humid": object})
    frame.loc[len(frame) - 1, "humid"] = "wet"
    return frame


def test_both_ways_come_to_the_same_verdicts_for_the_same_reasons(
    lakes, loop, flights, april, tmp_path, monkeypatch
):
    monkeypatch.setattr(look, "SAMPLE_ROWS", 3000)  # fewer than there are rows
    memory, beams = lakes
    may = flights[flights["departure"].dt.month == 5].iloc[::7].reset_index(drop=True)
    spans = [april, may, with_other_values(may), with_other_columns(may)]
    for number, frame in enumerate(spans, start=1):
        memory.write(frame, source="history" if number == 1 else "collector")
        verdicts = [
            validate_span(lake.loop, lake, number, report=tmp_path / "report.html")
            for lake in (beams, memory)
        ]
        assert verdicts[0].reasons == verdicts[1].reasons
        assert verdicts[0].accepted is (number <= 2)
    named = "; ".join(reason for n in (3, 4) for reason in memory.verdict(n).reasons)
    for feature in ("temp", "dest", "distance", "carrier", "humid"):
        assert f"`{feature}`" in named


def test_a_span_is_described_once(lakes, april, loop, monkeypatch):
    _, beams = lakes
    beams.write(april, source="history")
    first = statistics_of(beams, 1, declared(loop))
    monkeypatch.setattr(beam, "_run", None)
    assert statistics_of(beams, 1, declared(loop)) == first


def test_a_pipeline_that_fails_is_no_verdict_and_nothing_is_kept(
    lakes, april, loop, tmp_path, monkeypatch
):
    _, beams = lakes
    beams.write(april, source="history")

    def dies(*args, **options):
        raise OSError("no workers")

    monkeypatch.setattr(beam, "_to_batch", dies)
    with pytest.raises(KontinualError, match=r"span 1: DirectRunner could not .* no workers"):
        validate_span(beams.loop, beams, 1, report=tmp_path / "report.html")
    assert beams.verdict(1) is None
    assert not [n for n in beams.store.names("statistics/000001") if n.endswith(".pb")]


def test_a_damaged_span_is_not_described(lakes, april, tmp_path):
    _, beams = lakes
    manifest = beams.write(april, source="history")
    beams.store.write(f"spans/000001/{manifest.data_file}", b"rot")
    with pytest.raises(LakeError, match="damaged, sha256"):
        validate_span(beams.loop, beams, 1, report=tmp_path / "report.html")
    assert beams.verdict(1) is None


def test_an_option_that_beam_does_not_know_is_named_before_anything_is_read(loop, tmp_path):
    wrong = with_beam(loop, options={"direct_num_worker": 2})
    with pytest.raises(SpecError, match=r"no option `direct_num_worker`; did you mean `direct_n"):
        validate_span(wrong, Lake(str(tmp_path), wrong), 1, report=tmp_path / "report.html")


def test_options_reach_the_runner(loop):
    chosen = with_beam(
        loop, runner="FlinkRunner", options={"flink_master": "jobs:8081", "experiments": ["a", "b"]}
    ).validation.beam
    told = beam.pipeline_options(chosen).get_all_options()
    assert told["runner"] == "FlinkRunner"
    assert told["flink_master"] == "jobs:8081"
    assert told["experiments"][:2] == ["a", "b"]
