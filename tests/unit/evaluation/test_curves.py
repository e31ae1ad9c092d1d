import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from kontinual.evaluation.curves import calibration, confusion, roc


def _scored(n, seed=0, decimals=6):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(n), decimals).astype(np.float32)
    return (rng.random(n) < scores).astype(np.int64), scores


def test_the_roc_curve_encloses_the_auc_within_its_thinning():
    labels, scores = _scored(20_000)
    curve = roc(labels, scores)

    assert len(curve.fpr) <= 100
    assert sk.auc(curve.fpr, curve.tpr) == pytest.approx(
        sk.roc_auc_score(labels, scores), abs=0.001
    )


@given(n=st.integers(1, 400), seed=st.integers(0, 99), decimals=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_the_roc_curve_rises_from_corner_to_corner(n, seed, decimals):
    labels, scores = _scored(n, seed, decimals)
    curve = roc(labels, scores)

    assert len(curve.fpr) == len(curve.tpr) == len(curve.thresholds) <= 100
    assert (curve.fpr[0], curve.tpr[0]) == (0, 0)
    assert curve.fpr[-1] == (0 in labels)
    assert curve.tpr[-1] == (1 in labels)
    assert (np.diff(curve.fpr) >= 0).all()
    assert (np.diff(curve.tpr) >= 0).all()
    assert np.isfinite(curve.thresholds).all()


def test_points_of_the_roc_curve_are_what_their_threshold_gives():
    labels, scores = _scored(500, decimals=2)
    curve = roc(labels, scores)

    for fpr, tpr, threshold in list(zip(curve.fpr, curve.tpr, curve.thresholds, strict=True))[1:]:
        said = scores >= np.float32(threshold)
        assert tpr == pytest.approx(said[labels == 1].mean())
        assert fpr == pytest.approx(said[labels == 0].mean())


def test_the_confusion_matrix_is_scikit_learn_s():
    labels, scores = _scored(300)

    assert confusion(labels, scores) == sk.confusion_matrix(labels, scores >= 0.5).tolist()
    assert confusion(np.array([1]), np.array([0.5])) == [[0, 0], [0, 1]]


def test_calibration_bins_hold_all_rows_in_order_of_score():
    labels, scores = _scored(1003)
    bins = calibration(labels, scores)

    assert sum(b.rows for b in bins) == 1003
    assert [b.mean_score for b in bins] == sorted(b.mean_score for b in bins)
    for one in bins:  # the labels were drawn by these very scores
        assert one.positives == pytest.approx(one.mean_score, abs=0.15)


def test_fewer_rows_than_bins_make_fewer_bins():
    assert [b.rows for b in calibration(np.array([0, 1]), np.array([0.1, 0.9]))] == [1, 1]
