"""Whole evaluations of real ONNX models over a real lake, with known truths."""

import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from kontinual.errors import LakeError, ModelPackageError
from kontinual.evaluation import Evaluation, evaluate, evaluation_html
from kontinual.evaluation.groups import Scorer
from kontinual.lake import Lake, Verdict, is_holdout
from kontinual.spec import CategoryFeature
from kontinual.training import prepare, train


@pytest.fixture
def judge(loop, lake):
    def call(champion, challenger, *, span, seed=1):
        return evaluate(
            loop, lake, champion=champion, challenger=challenger, span=span, seed=seed,
            resamples=300,
        )  # fmt: skip

    return call


@pytest.fixture
def turned(lake, rows, accept):
    """The world turned between span 1 (by a) and span 2 (by a and b)."""
    lake.write(rows(3000, weights=(2, 0), seed=1), source="table")
    accept(1)
    lake.write(rows(3000, weights=(2, 2), seed=2), source="table")


def test_a_model_that_learnt_the_new_world_is_blessed(judge, model, turned):
    found = judge(model(2, 0), model(2, 0.3), span=2)

    assert found.blessed
    assert found.reason.startswith("Blessed: log loss on span 2 falls from")
    assert "no objection from" in found.reason


def test_the_evaluation_tells_by_how_much_the_scores_moved(judge, model, turned, lake):
    before, after = model(2, 0), model(2, 0.3, bias=1.0)

    found = judge(before, after, span=2)

    _, held = lake.recent_holdout(2)
    means = [Scorer(package).scores(held.read()).mean() for package in (before, after)]
    assert found.score_gap == pytest.approx(means[1] - means[0])
    assert found.score_gap > 0.1
    assert judge(None, after, span=2).score_gap is None


def test_a_model_that_forgot_the_old_world_is_not(judge, model, turned):
    found = judge(model(2, 0), model(2, 2), span=2)

    assert not found.blessed
    assert [f.comparison.group for f in found.findings if f.verdict == "blocked"] == ["span 1"]
    assert "so it is surely worse by more than the 0.03 allowed" in found.reason


def test_a_model_that_is_bad_for_one_slice_is_not(judge, model, lake, rows):
    # For the tenth of rows from the small shop, b counts the other way round.
    lake.write(rows(9000, weights=(2, 2), small=(2, -2), seed=3), source="table")

    found = judge(model(2, 0), model(2, 2), span=1)

    blocked = [f.comparison.group for f in found.findings if f.verdict == "blocked"]
    assert blocked == ["shop=small"]
    assert found.about("log_loss", "new")[0].low > 0.05  # though better on the whole


def test_noise_is_never_blessed(judge, model, turned):
    for weights in [(0, 0), (-0.5, 0.5), (0, -0.4)]:
        assert not judge(model(2, 0), model(*weights), span=2).blessed
        assert not judge(None, model(*weights, bias=0.2), span=1).blessed


def test_the_first_model_is_measured_by_the_base_rate(judge, model, turned):
    found = judge(None, model(2, 0), span=1)

    assert found.blessed
    assert found.against == "base rate"
    assert found.champion_roc is None
    assert {c.on for c in found.comparisons} == {"new", "slices"}
    (auc,) = found.about("roc_auc", "new")
    assert auc.champion == 0.5


@pytest.fixture
def by_blocks(loop, tmp_path, rows, model):
    """Evaluates a far better challenger on 6,000 rows, one a second, held out in such blocks."""

    def call(block):
        data = loop.data.model_copy(update={"holdout_block": block})
        own = loop.model_copy(update={"data": data})
        lake = Lake(str(tmp_path / "blocks"), own)
        lake.write(rows(6000, weights=(2, 2), seed=2), source="table")
        return evaluate(own, lake, champion=model(2, 0), challenger=model(2, 1), span=1, seed=1)

    return call


def test_rows_are_drawn_by_the_block_that_they_were_held_out_with(by_blocks):
    found = by_blocks(timedelta(minutes=10))

    (seen,) = found.about("log_loss", "new")
    assert seen.rows == seen.blocks * 600
    assert f"{seen.rows:,} rows in {seen.blocks} blocks)" in found.reason


def test_spans_of_one_day_are_judged_by_the_days_held_out_before_them(
    loop, lake, rows, model, accept
):
    by_day = loop.data.model_copy(update={"holdout_block": timedelta(days=1)})
    daily = loop.model_copy(update={"data": by_day})
    lake = Lake(str(lake.store.url("")), daily)
    for day in range(30):
        frame = rows(60, weights=(2, 2), seed=day)
        lake.write(frame.assign(at=frame["at"] + pd.Timedelta(days=day)), source="collector")
        lake.judge(Verdict(span=day + 1, accepted=True, at=frame["at"][0]))

    found = evaluate(
        daily, lake, champion=model(2, 0), challenger=model(2, 2), span=30, seed=1, resamples=300
    )

    (seen,) = found.about("log_loss", "new")
    assert seen.blocks == 4
    assert seen.rows == 4 * 60
    first, last = map(int, re.fullmatch(r"spans (\d+) to (\d+)", seen.group).groups())
    assert last == 30
    assert all(
        int(c.group.split()[1]) < first
        for c in found.about("log_loss", "old")
        if c.group.startswith("span ")
    )
    assert found.reason.startswith(f"Blessed: log loss on spans {first} to 30 falls")


def test_a_single_held_out_block_blesses_nothing_and_is_reported(by_blocks):
    found = by_blocks(timedelta(minutes=50))

    (seen,) = found.about("log_loss", "new")
    assert seen.blocks == 1
    assert not found.blessed
    assert "can not be judged: its rows are nearly all of one block of time" in found.reason
    assert "none: its rows are nearly all of one block of time" in evaluation_html(found)


def test_every_group_is_compared_by_what_its_gates_ask(judge, model, turned):
    found = judge(model(2, 0), model(2, 1), span=2)

    groups = [(c.metric, c.on, c.group) for c in found.comparisons]
    assert groups == [
        ("log_loss", "new", "span 2"),
        ("roc_auc", "new", "span 2"),
        ("brier", "new", "span 2"),
        ("log_loss", "slices", "shop=big"),
        ("log_loss", "slices", "shop=small"),
        ("log_loss", "old", "span 1"),
    ]
    rows = {c.group: c.rows for c in found.comparisons}
    assert rows["shop=big"] + rows["shop=small"] == rows["span 2"]


def test_what_is_a_little_worse_on_every_older_span_is_proven_by_all_of_them(
    judge, model, lake, rows, accept
):
    for number in range(1, 9):
        frame = rows(260, seed=number)
        lake.write(frame.assign(at=frame["at"] + number * pd.Timedelta("1h")), source="table")
        accept(number)
    lake.write(rows(3000, weights=(2, 2), seed=9), source="table")

    found = judge(model(2, 0), model(2, 0.9), span=9)

    old = [f for f in found.findings if f.gate.on == "old"]
    assert [f.verdict for f in old[:-1]].count("passed") >= 6  # of 8, for want of rows
    assert (old[-1].comparison.group, old[-1].verdict) == ("all older spans", "blocked")
    assert old[-1].comparison.rows == sum(f.comparison.rows for f in old[:-1])
    assert not found.blessed


def test_only_accepted_older_spans_count(judge, model, lake, rows):
    for seed in (1, 2, 3):
        lake.write(rows(900, seed=seed), source="table")

    assert judge(model(2, 0), model(2, 1), span=2).about("log_loss", "old") == []


def test_only_held_out_rows_are_looked_at(judge, model, lake, turned):
    found = judge(model(2, 0), model(2, 1), span=2)

    assert found.about("log_loss", "new")[0].rows == len(lake.holdout_rows(2))
    assert sum(map(sum, found.confusion)) == len(lake.holdout_rows(2))


def test_the_same_seed_gives_the_same_evaluation(judge, model, turned):
    one, again, other = (judge(model(2, 0), model(2, 1), span=2, seed=s) for s in (1, 1, 2))

    assert one == again
    assert one != other
    assert Evaluation.model_validate_json(one.model_dump_json()) == one


def test_a_new_span_too_small_to_prove_anything_blesses_nothing(judge, model, lake, rows):
    lake.write(rows(100, weights=(2, 2)), source="table")

    found = judge(model(2, 0), model(2, 2), span=1)
    assert not found.blessed
    assert "100 are needed to judge" in found.reason


def test_an_old_span_from_before_a_feature_is_reported_and_blocks_nothing(
    judge, model, lake, rows, accept
):
    lake.write(rows(900, seed=1).drop(columns="b"), source="table")
    accept(1)
    lake.write(rows(2000, weights=(2, 2), seed=2), source="table")

    found = judge(model(2, 0), model(2, 1), span=2)

    (old,) = [f for f in found.findings if f.gate.on == "old"]
    assert found.blessed
    assert old.verdict == "not judged"
    assert "the model needs column 'b'" in old.reason


def test_a_model_that_answers_no_probability_stops_the_evaluation(judge, model, turned):
    with pytest.raises(ModelPackageError, match=r"scores are no probability, such as nan"):
        judge(model(2, 0), model(float("nan"), 0), span=2)


def test_a_damaged_package_stops_the_evaluation(judge, model, turned):
    folder = model(2, 1)
    (folder / "model.onnx").write_bytes(b"rot")

    with pytest.raises(ModelPackageError, match=r"model\.onnx: damaged"):
        judge(model(2, 0), folder, span=2)


def test_a_span_without_held_out_rows_is_a_clear_error(judge, model, lake, rows, loop):
    frame = rows(40)
    free = frame[~is_holdout(frame["at"], loop.data.holdout, loop.data.holdout_block)]
    lake.write(free, source="table")

    with pytest.raises(LakeError, match="span 1 and those before it hold no held-out row"):
        judge(None, model(2, 0), span=1)


@pytest.mark.parametrize("first", [True, False])
def test_the_report_stands_alone_and_begins_with_the_verdict(judge, model, turned, first):
    found = judge(None if first else model(2, 0), model(2, 2), span=2)
    page = evaluation_html(found)

    assert page.index(found.reason[:40]) < page.index("<svg")
    assert page.count("<svg") == 3  # ROC, calibration, one forest
    for outside in ("http-equiv", "<script", "<link", "src=", "<img"):
        assert outside not in page
    for finding in found.findings:
        assert finding.reason.split("(")[0] in page


def test_the_report_escapes_what_data_say(judge, model, turned):
    found = judge(model(2, 0), model(2, 1), span=2)
    evil = found.model_copy(update={"loop": "<script>alert(1)</script>"})

    assert "<script>" not in evaluation_html(evil)


@pytest.fixture
def trained(tmp_path):
    """Trains on the newest span: `trained(loop, lake)`."""

    def call(loop, lake):
        span = max(s.number for s in lake.accepted())
        out = tmp_path / "trained" / str(len(list(tmp_path.glob("trained/*"))))
        train(
            loop,
            prepare(loop, lake, span, seed=0),
            algorithm="logistic_regression",
            parameters={"C": 1.0},
            seed=0,
            out=out,
        )
        return out

    return call


@pytest.mark.parametrize("now", ["gone", "a category"])
def test_a_champion_does_without_a_feature_that_was_taken_out(
    now, loop, lake, rows, accept, trained, tmp_path
):
    lake.write(rows(2000, weights=(2, 1), seed=1), source="table")
    accept(1)
    champion = trained(loop, lake)
    a, _, shop = loop.data.features
    other = CategoryFeature(name="b", type="category", vocabulary=["low", "high"])
    features = [a, shop] if now == "gone" else [a, other, shop]
    changed = loop.model_copy(update={"data": loop.data.model_copy(update={"features": features})})
    frame = rows(2000, weights=(2, 1), seed=2)
    later = Lake(str(tmp_path / "later"), changed)
    later.write(frame.assign(b=np.where(frame["b"] > 0, "high", "low")), source="table")
    later.judge(Verdict(span=1, accepted=True, at=frame["at"][0]))
    challenger = trained(changed, later)

    found = evaluate(changed, later, champion=champion, challenger=challenger, span=1, seed=1)

    assert found.champion_lacks == ["b"]
    assert found.score_gap is None, "the champion's scores of such rows are not its own"
    assert found.reason.endswith("got null for `b`, which loop.yaml no longer declares.")
    auc = found.about("roc_auc", "new")[0]
    assert 0.7 < auc.champion < 0.95  # by `a` alone
    assert "got null for `b`" in evaluation_html(found)
