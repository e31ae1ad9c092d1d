"""A feature that gives the label away is refused; an honest one, however good, is not."""

import numpy as np
import pytest
from hypothesis import given, settings
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


def test_rare_categories_prove_nothing(check, visits):
    frame = visits()
    frame["country"] = [f"c{i // 2}" for i in range(len(frame))]
    assert check(frame) == []


def test_what_was_accepted_before_is_only_noted(check, visits):
    before, now = (only_for(visits(seed=s), "weight", -1.0, label=1) for s in (1, 2))
    (found,) = check(now, before)
    assert not found.refuses
    assert found.sentence.endswith("it did so in the accepted span before too")


def test_a_label_with_one_class_can_not_be_given_away(check, visits):
    assert check(visits().assign(bought=1)) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_roc_auc_is_the_share_of_pairs_that_are_ranked_right(rows, seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, rows)])
    scores = rng.integers(0, 5, len(labels)).astype(float)
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert roc_auc(scores, labels) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
