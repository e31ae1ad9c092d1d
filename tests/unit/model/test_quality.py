"""Quality: the figures of scikit-learn, without its price."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from kontinual.errors import TrainingError
from kontinual.model import entropy, quality, score_bins

Floats = npt.NDArray[np.float64]

_rows = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 1)),
        # Few distinct values make ties, which ranks have to split.
        arrays(np.float64, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])),
    )
)


@given(_rows)
def test_the_figures_are_those_of_scikit_learn(rows: tuple[npt.NDArray[np.int64], Floats]) -> None:
    labels, scores = rows
    found = quality(labels, scores)
    cut = np.clip(scores, 1e-7, 1 - 1e-7)
    assert found.rows == len(labels)
    assert found.log_loss == pytest.approx(log_loss(labels, cut, labels=[0, 1]))
    assert found.brier == pytest.approx(brier_score_loss(labels, scores, pos_label=1))
    assert found.base_rate == pytest.approx(labels.mean())
    if 0 < labels.sum() < len(labels):
        assert found.roc_auc == pytest.approx(roc_auc_score(labels, scores))
        assert found.binned_roc_auc == pytest.approx(roc_auc_score(labels, score_bins(scores)))
    else:
        assert found.roc_auc == found.binned_roc_auc == 0.5


@given(_rows)
def test_turning_scores_round_mirrors_the_auc(
    rows: tuple[npt.NDArray[np.int64], Floats],
) -> None:
    labels, scores = rows
    total = quality(labels, scores).roc_auc + quality(labels, 1 - scores).roc_auc
    assert total == pytest.approx(1)


def test_the_binned_auc_ties_the_low_scores_of_rare_positives() -> None:
    rng = np.random.default_rng(5)
    scores = 1 / (1 + np.exp(4.45 - rng.normal(0, 1.2, 100_000)))
    found = quality((rng.random(100_000) < scores).astype(int), scores)
    assert found.base_rate == pytest.approx(0.02, abs=0.005)
    assert found.roc_auc - found.binned_roc_auc > 0.1


def test_a_calibrated_model_has_the_log_loss_that_it_expects() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(200_000)
    labels = (rng.random(200_000) < scores).astype(int)
    found = quality(labels, scores)
    assert found.expected_log_loss == pytest.approx(found.log_loss, abs=0.003)


def test_the_entropy_is_greatest_for_a_coin_and_none_for_certainty() -> None:
    assert entropy([0.5])[0] == pytest.approx(math.log(2))
    assert entropy([0.0, 1.0]) == pytest.approx([0, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([1], [0.5, 0.5]), ([[1]], [[0.5]])], ids=str
)
def test_scores_without_their_labels_are_refused(
    labels: list[object], scores: list[object]
) -> None:
    with pytest.raises(TrainingError, match="as many scores as labels, and one row at least"):
        quality(labels, scores)
