"""A feature that gives the label away is refused; an honest one, however good, is not."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.validation.leakage import check_leakage, roc_auc


@pytest.fixture
def check(expected):
    def run(frame, previous=None):
        return check_leakage(frame, previous, label="bought", expected=expected)

    return run


def only_for(frame, column, value, *, label, share=1.0):
    rows = np.flatnonzero(frame["bought"] == label)
    frame = frame.astype({column: object} if isinstance(value, str) else {column: float})
    frame.loc[frame.index[rows[: round(share * len(rows))]], column] = value
    return frame


def labelled(rows, positives, *, seed=0):
    """Visits whose features say nothing of the label."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "weight": rng.gamma(4, 20, rows),
            "outside": np.where(rng.random(rows) < 0.02, 55.0, np.nan),
            "pages": rng.integers(1, 3, rows),
            "country": rng.choice(["AT", "CH", "DE", "FR"], rows, p=[0.1, 0.1, 0.6, 0.2]),
            "bought": rng.permutation(np.arange(rows) < positives).astype(int),
        }
    )


def test_honest_features_give_nothing_away(check, visits):
    for seed in range(10):
        assert check(visits(seed=seed)) == []


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(("column", "value"), [("weight", -1.0), ("country", "ZZ")])
def test_a_constant_on_every_row_of_one_label_is_refused(check, visits, column, value, label):
    (found,) = check(only_for(visits(), column, value, label=label))
    assert (found.feature, found.refuses) == (column, True)
    assert f"`{column}`: it gives the label `bought` away: being {value!r} or not" in found.sentence


def test_a_constant_on_half_the_rows_of_one_label_is_refused(check, visits):
    (found,) = check(only_for(visits(), "pages", 0, label=1, share=0.5))
    assert "0.0 stands on 50 % of the rows with label 1 and on none of the others" in found.sentence


def test_null_or_not_can_give_the_label_away(check, visits):
    (found,) = check(only_for(visits(), "outside", np.nan, label=0))
    assert "being null or not alone separates it" in found.sentence


def test_a_feature_that_ranks_the_label_is_refused(check, visits):
    frame = visits()
    rng = np.random.default_rng(0)
    frame["weight"] = 100 - 50 * frame["bought"] + rng.normal(0, 10, len(frame))
    (found,) = check(frame)
    assert "alone it ranks the rows with ROC AUC" in found.sentence


def binormal(rows, *, auc, seed):
    """Visits of which a feature ranks the labels by nature, with so great a ROC AUC."""
    rng = np.random.default_rng(seed)
    frame = labelled(rows, round(0.4 * rows), seed=seed)
    apart = np.sqrt(2) * NormalDist().inv_cdf(auc)
    return frame.assign(weight=frame["bought"] * apart + rng.normal(0, 1, rows))


@pytest.mark.parametrize("rows", [60, 200, 2000])
def test_a_feature_that_is_as_good_as_honest_ones_get_is_refused_by_chance_only(check, rows):
    found = [f for seed in range(100) for f in check(binormal(rows, auc=0.975, seed=seed))]
    assert sum(f.refuses for f in found) <= 5
    for noted in (f for f in found if not f.refuses):
        assert "`weight`: it may give the label `bought` away" in noted.sentence


@pytest.mark.parametrize("rows", [60, 200, 2000])
def test_what_ranks_few_rows_without_a_fault_is_refused(check, rows):
    frame = labelled(rows, round(0.4 * rows))
    frame["weight"] += 1000 * frame["bought"]
    assert [(f.feature, f.refuses) for f in check(frame)] == [("weight", True)]


def test_a_ranking_with_few_faults_is_refused_of_enough_rows(check):
    refused = [f.refuses for f in check(binormal(2000, auc=0.995, seed=0))]
    assert refused == [True]


def test_what_was_only_noted_before_is_refused_once_it_is_sure(check):
    before, now = binormal(60, auc=0.985, seed=4), binormal(2000, auc=0.995, seed=0)
    assert [f.refuses for f in check(before)] == [False]
    assert [f.refuses for f in check(now, before)] == [True]


def test_rare_categories_prove_nothing(check, visits):
    frame = visits()
    frame["country"] = [f"c{i // 2}" for i in range(len(frame))]
    assert check(frame) == []


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([200, 1000, 5000, 20_000]),
    st.sampled_from([0.001, 0.003, 0.01, 0.05, 0.5, 0.95, 0.997]),
    st.integers(0, 2**32 - 1),
)
def test_noise_gives_nothing_away_however_rare_a_label_is(check, rows, share, seed):
    positives = min(max(1, round(share * rows)), rows - 1)
    assert check(labelled(rows, positives, seed=seed)) == []


@pytest.mark.parametrize("share", [0.001, 0.003, 0.997])
def test_noise_gives_nothing_away_in_large_spans(check, share):
    for seed in range(5):
        assert check(labelled(100_000, round(share * 100_000), seed=seed)) == []


def test_a_value_that_lowers_a_small_risk_tenfold_is_honest(check):
    frame = labelled(100_000, 300)
    risky = frame["bought"].to_numpy() == 1
    frame.loc[risky, "pages"] = np.where(np.arange(300) < 30, 1, 2)
    assert check(frame) == []


@pytest.mark.parametrize("share", [0.003, 0.05, 0.5, 0.95])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("covered", [0.5, 1.0])
def test_a_leak_is_found_however_rare_a_label_is(check, share, label, covered):
    frame = labelled(50_000, round(share * 50_000))
    (found,) = check(only_for(frame, "pages", 0, label=label, share=covered))
    assert (found.feature, found.refuses) == ("pages", True)


@pytest.mark.parametrize("share", [0.003, 0.05, 0.5])
def test_a_ranking_leak_is_found_however_rare_a_label_is(check, share):
    frame = labelled(50_000, round(share * 50_000))
    frame["weight"] += 1000 * frame["bought"]
    (found,) = check(frame)
    assert found.feature == "weight"


def test_a_leak_of_few_positives_is_found_by_its_value(check):
    (found,) = check(only_for(labelled(20_000, 6), "pages", 0, label=1))
    assert "0.0 stands on 100 % of the rows with label 1 and on none" in found.sentence


def test_a_few_exceptions_hide_no_leak_of_the_rare_label(check):
    frame = only_for(labelled(100_000, 1000), "pages", 0, label=1, share=0.9)
    frame.loc[np.flatnonzero(frame["bought"] == 0)[:4], "pages"] = 0
    (found,) = check(frame)
    assert "stands on 90 % of the rows with label 1 and on 4 of the others" in found.sentence


def test_labels_that_alternate_make_no_leak_of_a_category(check):
    frame = labelled(2000, 1000)
    frame["bought"] = np.arange(2000) % 2
    assert check(frame) == []


def test_a_category_of_many_values_that_ranks_the_label_is_refused(check, visits):
    frame = visits()
    buyer = np.where(frame["bought"] == 1, "buyer", "visitor")
    frame["country"] = [f"{b}{i % 50}" for i, b in enumerate(buyer)]
    (found,) = check(frame)
    assert "alone it ranks the rows with ROC AUC" in found.sentence


def test_what_was_accepted_before_is_only_noted(check, visits):
    before, now = (only_for(visits(seed=s), "weight", -1.0, label=1) for s in (1, 2))
    (found,) = check(now, before)
    assert not found.refuses
    assert found.sentence.endswith("it did so in the accepted span before too")


def test_a_label_with_one_class_can_not_be_given_away(check, visits):
    assert check(visits().assign(bought=1)) == []


@pytest.mark.parametrize("odd", [np.nan, np.inf, 2])
def test_labels_that_are_no_labels_are_not_judged_here(check, visits, odd):
    before, now = (only_for(visits(seed=s), "weight", -1.0, label=1) for s in (1, 2))
    odd_before = before.astype({"bought": float})
    odd_before.loc[0, "bought"] = odd
    assert check(odd_before) == []
    assert [f.refuses for f in check(now, odd_before)] == [True]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_roc_auc_is_the_share_of_pairs_that_are_ranked_right(rows, seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, rows)])
    scores = rng.integers(0, 5, len(labels)).astype(float)
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert roc_auc(scores, labels) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
