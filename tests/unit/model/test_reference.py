"""The reference: bins that partition all values, shares that sum to one."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kontinual.model import FeatureReference, Quality, Reference, score_bins
from kontinual.spec import SCORE_BINS, CategoryFeature, Feature, NumberFeature

_NUMBER = NumberFeature(name="temp", range=(-20, 115), nullable=True)
_CATEGORY = CategoryFeature(name="origin", vocabulary=["EWR", "JFK", "LGA"])
Column = npt.NDArray[np.float32]

_values = st.floats(width=32, min_value=-1000, max_value=1000) | st.just(math.nan)
_columns = arrays(np.float32, st.integers(1, 60), elements=_values)
_codes = arrays(
    np.float32, st.integers(1, 60), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan])
)


@given(_columns, _columns)
def test_every_number_has_exactly_one_bin(training: Column, served: Column) -> None:
    reference = FeatureReference.of(_NUMBER, training)
    edges = np.array([-np.inf, *reference.edges, np.inf])
    for value, index in zip(served, reference.bin_of(served), strict=True):
        if np.isnan(value):
            assert reference.bins[index] == "null"
        else:
            assert reference.bins[index] == str(index)
            assert edges[index] < value <= edges[index + 1]


@given(_codes)
def test_every_code_has_the_bin_of_its_name(codes: Column) -> None:
    reference = FeatureReference.of(_CATEGORY, codes)
    assert reference.bins == ["0", "1", "2", "unseen", "null"]
    names = {0.0: "0", 1.0: "1", 2.0: "2", 3.0: "unseen"}
    found = [reference.bins[i] for i in reference.bin_of(codes)]
    assert found == [names.get(float(c), "null") for c in codes]


@given(_columns, _columns)
def test_counting_numbers_is_counting_their_bins(training: Column, served: Column) -> None:
    reference = FeatureReference.of(_NUMBER, training)
    expected = np.bincount(reference.bin_of(served), minlength=len(reference.bins))
    assert reference.count(served).tolist() == expected.tolist()


@given(_codes)
def test_counting_codes_is_counting_their_bins(codes: Column) -> None:
    reference = FeatureReference.of(_CATEGORY, np.zeros(1, np.float32))
    expected = np.bincount(reference.bin_of(codes), minlength=len(reference.bins))
    assert reference.count(codes).tolist() == expected.tolist()


@given(_columns)
def test_shares_are_positive_and_sum_to_one(training: Column) -> None:
    reference = FeatureReference.of(_NUMBER, training)
    assert len(reference.shares) == len(reference.bins) == len(reference.edges) + 2
    assert min(reference.shares) > 0
    assert sum(reference.shares) == pytest.approx(1)


@given(_columns)
def test_edges_rise_strictly_and_leave_no_bin_without_training_rows(training: Column) -> None:
    reference = FeatureReference.of(_NUMBER, training)
    assert all(a < b for a, b in zip(reference.edges, reference.edges[1:], strict=False))
    counts = np.bincount(reference.bin_of(training), minlength=len(reference.bins))
    if not np.isnan(training).all():
        assert counts[:-1].min() > 0


def test_bins_of_a_smooth_number_hold_about_a_tenth_each() -> None:
    training = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    shares = FeatureReference.of(_NUMBER, training).shares
    assert len(shares) == 11
    assert shares[:-1] == pytest.approx([0.1] * 10, abs=0.002)


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)))
def test_every_score_has_a_bin(scores: npt.NDArray[np.float64]) -> None:
    bins = score_bins(scores)
    assert ((bins >= 0) & (bins < SCORE_BINS)).all()
    width = 1 / SCORE_BINS
    assert (bins * width <= scores + 1e-9).all()
    assert (scores <= (bins + 1) * width + 1e-9).all()


def test_the_reference_survives_being_written_and_read(reference: Reference) -> None:
    assert Reference.model_validate_json(reference.model_dump_json()) == reference


def test_the_reference_says_how_unsure_the_model_was(
    features: list[Feature], quality_at_birth: Quality
) -> None:
    matrix = np.zeros((4, 3), dtype=np.float32)
    scores = np.array([0.5, 0.45, 0.95, 0.1])
    made = Reference.of(features, matrix, scores, quality_at_birth)
    assert made.low_confidence_share == 0.5
    assert made.rows == 4
    assert sum(made.score_shares) == pytest.approx(1)
    assert int(np.argmax(made.score_shares)) in {2, 9, 10, 19}
