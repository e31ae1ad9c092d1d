"""Versions are compared on the longest beginning of a time that has its labels."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from kontinual.collector import Answered, Cohort, VersionOutcomes, cohort
from kontinual.collector.cohort import beginning

START = datetime(2024, 5, 1, tzinfo=UTC)


def rows(*told: tuple[int, str, int | None], score: float = 0.25) -> list[Answered]:
    """Rows by the second of their arrival, version and label."""
    return [Answered(START.timestamp() + at, version, score, label) for at, version, label in told]


def oracle(rows: list[Answered], labelled: float) -> int:
    """Every beginning is tried, the longest first."""
    for end in range(len(rows), 0, -1):
        if end < len(rows) and rows[end].arrived == rows[end - 1].arrived:
            continue
        versions = {row.version for row in rows[:end]}
        own = [[r.label is not None for r in rows[:end] if r.version == v] for v in versions]
        if all(sum(known) / len(known) >= labelled for known in own):
            return end
    return 0


answered = st.builds(
    Answered,
    arrived=st.integers(0, 12).map(float),
    version=st.sampled_from(["1", "2", "3"]),
    score=st.floats(0, 1),
    label=st.sampled_from([None, 0, 1, 0, 1, 1]),
)
some = st.lists(answered, max_size=40).map(lambda rows: sorted(rows, key=lambda r: r.arrived))
share = st.one_of(st.sampled_from([0.5, 0.9, 1.0]), st.floats(0, 1, exclude_min=True))


@given(rows=some, labelled=share)
def test_the_beginning_is_the_one_found_by_trying_all(
    rows: list[Answered], labelled: float
) -> None:
    assert beginning(rows, labelled=labelled) == oracle(rows, labelled)


@given(rows=some, labelled=share)
def test_the_outcomes_are_those_of_the_rows_until_then(
    rows: list[Answered], labelled: float
) -> None:
    found = cohort(rows, versions=["2", "1", "3"], labelled=labelled)
    end = found.until.timestamp() if found.until else -math.inf
    assert [o.version for o in found.outcomes] == ["2", "1", "3"]
    for outcome in found.outcomes:
        own = [r for r in rows if r.arrived <= end and r.version == outcome.version]
        assert outcome.predictions == len(own)
        assert outcome.labelled == sum(r.label is not None for r in own)
        assert outcome.labelled >= labelled * outcome.predictions - 1e-9


def test_the_share_is_met_exactly_not_nearly() -> None:
    nine = [(n, "1", 0) for n in range(9)]
    assert beginning(rows(*nine, (9, "1", None)), labelled=0.9) == 10
    assert beginning(rows(*nine, (9, "1", None)), labelled=0.91) == 9


def test_one_version_without_labels_holds_all_of_them_back() -> None:
    stable = [(n, "1", 0) for n in range(100)]
    canary = [(n, "2", None) for n in range(50, 60)]
    found = cohort(
        sorted(rows(*stable, *canary), key=lambda row: row.arrived),
        versions=["2", "1"],
        labelled=0.9,
    )
    assert found.until == START + timedelta(seconds=49)
    assert [(o.version, o.predictions) for o in found.outcomes] == [("2", 0), ("1", 50)]


def test_rows_that_arrived_together_stay_together() -> None:
    assert beginning(rows((0, "1", 1), (1, "1", 1), (1, "1", None)), labelled=0.9) == 1
    assert beginning(rows((1, "1", 1), (1, "1", None)), labelled=0.9) == 0


def test_without_labels_there_is_no_cohort() -> None:
    nothing = [VersionOutcomes("1", 0, 0, 0, 0)]
    assert cohort([], versions=["1"], labelled=0.9) == Cohort(None, nothing)
    assert cohort(rows((0, "1", None)), versions=["1"], labelled=0.9) == Cohort(None, nothing)


def test_the_sums_give_the_log_loss_that_scikit_learn_gives() -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(200).astype(np.float32).astype(float)
    labels = (rng.random(200) < scores).astype(int).tolist()
    made = [Answered(1.0, "1", s, y) for s, y in zip(scores.tolist(), labels, strict=True)]
    (found,) = cohort(made, versions=["1"], labelled=1).outcomes
    each = np.array(
        [log_loss([y], [s], labels=[0, 1]) for s, y in zip(scores, labels, strict=True)]
    )
    assert found.labelled == 200
    assert found.log_loss_sum == pytest.approx(each.sum())
    assert found.log_loss_squares == pytest.approx((each**2).sum())


def test_a_certain_and_wrong_score_costs_what_it_costs_the_counters() -> None:
    (found,) = cohort(rows((0, "1", 1), score=0.0), versions=["1"], labelled=1).outcomes
    assert found.log_loss_sum == pytest.approx(16.12, abs=0.01)
    assert found.log_loss_squares == pytest.approx(found.log_loss_sum**2)


@pytest.mark.parametrize(("score", "label"), [(0.0, 1), (0.005, 1), (1.0, 0)])
def test_clipped_scores_bound_what_one_row_can_cost(score: float, label: int) -> None:
    answered = rows((0, "1", label), score=score)
    (found,) = cohort(answered, versions=["1"], labelled=1, clip=0.01).outcomes
    assert found.log_loss_sum == pytest.approx(-math.log(0.01))
