"""The bootstrap against independent oracles: scikit-learn, SciPy, repeated rows, laws of chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from kontinual.evaluation import improvements as improvements_by_block
from kontinual.evaluation.bootstrap import metric_values
from kontinual.model import quality

METRICS = ["log_loss", "roc_auc", "brier"]


def improvements(labels, champion, challenger, *, blocks=None, **options):
    """Each row in a block of its own, if nothing else is said."""
    if blocks is None:
        blocks = np.arange(len(labels))
    return improvements_by_block(labels, champion, challenger, blocks=blocks, **options)


def _scored(n=400, *, seed=0, noise=(1.5, 0.5), ties=False):
    """Labels, and scores of a noisy and a less noisy model."""
    rng = np.random.default_rng(seed)
    logit = rng.standard_normal(n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    scores = [1 / (1 + np.exp(-(logit + s * rng.standard_normal(n)))) for s in noise]
    if ties:
        scores = [np.round(s, 1) for s in scores]
    return labels, *scores


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), ties=st.booleans())
@settings(max_examples=60, deadline=None)
def test_weighted_metrics_are_those_of_scikit_learn(seed, n, ties):
    labels, scores, _ = _scored(n, seed=seed, ties=ties)
    labels[:2] = 0, 1
    weights = np.random.default_rng(seed).integers(0, 4, (3, n)).astype(float)
    weights[:, :2] += 1

    for row, values in zip(
        weights,
        np.transpose([metric_values(m, labels, scores, weights) for m in METRICS]),
        strict=True,
    ):
        cut = np.clip(scores, 1e-7, 1 - 1e-7)
        assert values[0] == pytest.approx(sk.log_loss(labels, cut, sample_weight=row))
        assert values[1] == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=row))
        assert values[2] == pytest.approx(sk.brier_score_loss(labels, scores, sample_weight=row))


def test_a_weight_is_a_repeated_row():
    labels, scores, _ = _scored(80, ties=True)
    counts = np.random.default_rng(1).integers(0, 5, 80)

    for metric in METRICS:
        weighted = metric_values(metric, labels, scores, counts[None, :].astype(float))[0]
        repeated = quality(np.repeat(labels, counts), np.repeat(scores, counts))
        assert weighted == pytest.approx(getattr(repeated, metric))


def test_the_estimates_are_the_metrics_themselves():
    labels, old, new = _scored()

    found = improvements(labels, old, new, metrics=METRICS, rng=np.random.default_rng(1))

    for metric in METRICS:
        before, after = (getattr(quality(labels, s), metric) for s in (old, new))
        sign = 1 if metric == "roc_auc" else -1
        assert found[metric].champion == pytest.approx(before)
        assert found[metric].challenger == pytest.approx(after)
        assert found[metric].estimate == pytest.approx(sign * (after - before))
        assert found[metric].low < found[metric].estimate < found[metric].high
        assert found[metric].estimate > 0  # the second model is the better one


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    labels, old, new = _scored(4000)
    gain = (old - labels) ** 2 - (new - labels) ** 2
    error = 1.96 * gain.std() / np.sqrt(len(gain))

    found = improvements(
        labels, old, new, metrics=["brier"], rng=np.random.default_rng(1), resamples=4000
    )["brier"]

    assert found.low == pytest.approx(gain.mean() - error, rel=0.05)
    assert found.high == pytest.approx(gain.mean() + error, rel=0.05)


@pytest.mark.parametrize("days", [3, 6])
def test_the_interval_of_few_days_of_one_size_is_that_of_a_paired_t_test(days):
    labels, old, new = _scored(20 * days)
    blocks = np.repeat(np.arange(days), 20)
    losses = (old - labels) ** 2 - (new - labels) ** 2

    found = improvements(
        labels, old, new, blocks=blocks, metrics=["brier"], rng=np.random.default_rng(1),
        resamples=20_000,
    )["brier"]  # fmt: skip

    by_day = losses.reshape(days, 20).mean(axis=1)
    wanted = stats.ttest_1samp(by_day, 0).confidence_interval(0.95)
    assert found.high - found.low == pytest.approx(wanted.high - wanted.low, rel=0.02)
    assert found.low == pytest.approx(wanted.low, rel=0.05)


def test_pairing_makes_the_interval_narrow():
    labels, old, _ = _scored(2000)
    new = np.clip(old + 0.001, 0, 1)

    found = improvements(labels, old, new, metrics=["roc_auc", "brier"], rng=_rng())

    assert found["roc_auc"].low == pytest.approx(0, abs=1e-12) == found["roc_auc"].high
    assert found["brier"].high - found["brier"].low < 1e-4


def test_equal_models_are_covered_by_about_95_percent():
    misses = 0
    for seed in range(200):
        labels, old, new = _scored(150, seed=seed, noise=(0.8, 0.8))
        found = improvements(labels, old, new, metrics=["log_loss"], rng=_rng(seed), resamples=300)[
            "log_loss"
        ]
        misses += not found.low <= 0 <= found.high

    assert 2 <= misses <= 20  # 10 expected


@pytest.mark.parametrize("days", [3, 6, 20])
def test_days_that_have_their_weather_are_covered_by_about_95_percent(days):
    """Of a day, all rows are answered better than by 0.5, or all worse."""
    blocks = np.repeat(np.arange(days), 60)
    misses = {"by day": 0, "by row": 0}
    for seed in range(200):
        rng = _rng(seed)
        labels = rng.integers(0, 2, len(blocks))
        luck = 0.1 * rng.standard_normal(days)[blocks]
        scores = np.full(len(labels), 0.5), 0.5 + luck * (2 * labels - 1)
        for way, numbers in {"by day": blocks, "by row": None}.items():
            found = improvements(
                labels, *scores, blocks=numbers, metrics=["brier"], rng=rng, resamples=200
            )["brier"]
            expected = -(0.1**2)  # of a row, 0.5² - (0.5 - luck)²
            misses[way] += not found.low <= expected <= found.high

    assert 2 <= misses["by day"] <= 20  # 10 expected
    assert misses["by row"] > 100  # as if each row had a weather of its own


@given(
    seed=st.integers(0, 1000),
    days=st.integers(2, 8),
    copies=st.integers(2, 4),
    metric=st.sampled_from(METRICS),
)
@settings(max_examples=40, deadline=None)
def test_the_same_rows_of_a_day_again_prove_nothing_more(seed, days, copies, metric):
    labels, old, new = _scored(80, seed=seed)
    blocks = np.arange(80) % days
    once, more = (
        improvements(
            *(np.tile(x, times) for x in (labels, old, new)),
            blocks=np.tile(blocks, times),
            metrics=[metric],
            rng=_rng(seed),
            resamples=50,
        )[metric]
        for times in (1, copies)
    )

    assert (more.low, more.high) == pytest.approx((once.low, once.high))


def test_a_single_day_has_figures_and_no_interval():
    labels, old, new = _scored(80)

    found = improvements(labels, old, new, blocks=np.zeros(80, int), metrics=METRICS, rng=_rng())

    for metric in METRICS:
        assert found[metric].champion == pytest.approx(getattr(quality(labels, old), metric))
        assert (found[metric].low, found[metric].high) == (None, None)


@pytest.mark.parametrize(("larger", "has_interval"), [(3, True), (4, False)])
def test_two_days_have_an_interval_unless_one_is_nearly_all_there_is(larger, has_interval):
    labels, old, new = _scored(20 * (larger + 1))
    blocks = np.repeat([0, 1], [20 * larger, 20])

    found = improvements(
        labels, old, new, blocks=blocks, metrics=["brier"], rng=np.random.default_rng(1)
    )["brier"]

    assert (found.low is not None, found.high is not None) == (has_interval, has_interval)


def test_exchanging_the_models_turns_the_interval_around():
    labels, old, new = _scored()

    one = improvements(labels, old, new, metrics=METRICS, rng=_rng())
    other = improvements(labels, new, old, metrics=METRICS, rng=_rng())

    for metric in METRICS:
        assert one[metric].low == pytest.approx(-other[metric].high)
        assert one[metric].estimate == pytest.approx(-other[metric].estimate)


def test_the_seed_decides():
    labels, old, new = _scored()
    one, again, other = (
        improvements(labels, old, new, metrics=METRICS, rng=_rng(s)) for s in (1, 1, 2)
    )

    assert one == again
    assert one != other


def test_without_both_labels_there_is_no_auc():
    scores = np.array([0.2, 0.4, 0.9])

    found = improvements(np.ones(3, dtype=int), scores, scores, metrics=METRICS, rng=_rng())

    assert set(found) == {"log_loss", "brier"}


def test_resamples_without_both_labels_do_not_spoil_the_auc():
    labels = np.r_[1, 1, np.zeros(18, dtype=int)]  # an eighth of the resamples have no positive
    scores = np.linspace(0, 1, 20)

    found = improvements(labels, scores, scores[::-1], metrics=["roc_auc"], rng=_rng())["roc_auc"]

    assert (found.champion, found.challenger) == (0.0, 1.0)
    assert (found.low, found.high) == (1.0, 1.0)


@pytest.mark.parametrize(("days", "with_failures"), [(2, 1), (6, 1), (10, 1)])
def test_failures_of_a_single_day_have_an_auc_and_no_interval(days, with_failures):
    labels, scores, blocks = _days(days, with_failures, seed=1)

    found = improvements(labels, *scores, blocks=blocks, metrics=METRICS, rng=_rng())

    assert found["roc_auc"].champion == pytest.approx(quality(labels, scores[0]).roc_auc)
    assert (found["roc_auc"].low, found["roc_auc"].high) == (None, None)
    assert found["roc_auc"].blocks == 1
    assert found["log_loss"].low < found["log_loss"].high
    assert found["log_loss"].blocks == pytest.approx(days)


@pytest.mark.parametrize(("days", "with_failures"), [(6, 2), (10, 2), (10, 5), (10, 10)])
def test_failures_of_few_days_prove_as_little_as_these_days(days, with_failures):
    misses = 0
    for seed in range(100):
        labels, scores, blocks = _days(days, with_failures, seed=seed)
        found = improvements(
            labels, *scores, blocks=blocks, metrics=["roc_auc"], rng=_rng(seed), resamples=200
        )["roc_auc"]
        misses += not found.low <= 0 <= found.high

    assert misses <= 10  # 5 expected


def _days(days, with_failures, *, seed, rows=40):
    """Two models of one quality, each with a luck of its own on each day; failures on the first."""
    rng = _rng(seed)
    blocks = np.repeat(np.arange(days), rows)
    labels = (blocks < with_failures) & (np.arange(len(blocks)) % 2 == 0)
    luck = rng.standard_normal((2, days))[:, blocks] + rng.standard_normal((2, len(blocks)))
    return labels.astype(int), 1 / (1 + np.exp(-(0.5 * labels + luck))), blocks


@pytest.mark.parametrize(
    ("sizes", "of_one_size"),
    [([50, 50, 50], 3), ([300, 100], 1.6), ([600, 100, 100, 100, 100], 2.5)],
)
def test_a_day_with_most_of_the_rows_counts_for_little_more_than_itself(sizes, of_one_size):
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    misses = 0
    for seed in range(100):
        rng = _rng(seed)
        labels = rng.integers(0, 2, len(blocks))
        luck = 0.1 * rng.standard_normal(len(sizes))[blocks]
        scores = np.full(len(labels), 0.5), 0.5 + luck * (2 * labels - 1)
        found = improvements(
            labels, *scores, blocks=blocks, metrics=["brier"], rng=rng, resamples=200
        )["brier"]
        misses += not found.low <= -(0.1**2) <= found.high

    assert found.blocks == pytest.approx(of_one_size)
    assert misses <= 10  # 5 expected


def _rng(seed=1):
    return np.random.default_rng(seed)
