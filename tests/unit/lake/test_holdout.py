import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.lake import is_holdout

IDS = st.lists(st.text(min_size=1, max_size=20), max_size=50)


@given(ids=IDS, share=st.floats(0, 1), seed=st.randoms())
def test_a_row_is_holdout_by_its_id_alone(ids, share, seed):
    shuffled = list(ids)
    seed.shuffle(shuffled)

    alone = {i: bool(is_holdout([i], share)[0]) for i in ids}

    assert is_holdout(shuffled, share).tolist() == [alone[i] for i in shuffled]


@given(ids=IDS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_greater_share_only_adds_rows(ids, shares):
    small, great = sorted(shares)

    assert (is_holdout(ids, small) <= is_holdout(ids, great)).all()


def test_the_share_is_met():
    held = is_holdout([f"20130301-UA{i}-EWR" for i in range(40_000)], 0.2)

    assert held.mean() == pytest.approx(0.2, abs=0.008)  # four standard errors


def test_bounds_hold_none_and_all():
    ids = [str(i) for i in range(1000)]

    assert not is_holdout(ids, 0).any()
    assert is_holdout(ids, 1).all()
    assert is_holdout([], 0.5).shape == (0,)


def test_it_never_changes_from_one_process_or_release_to_the_next():
    ids = ["a", "b", "ü", "20130301-UA1545-EWR-0515", "o7"]
    kept = [True, False, True, True, True]
    code = f"from kontinual.lake import is_holdout; print(is_holdout({ids!r}, 0.5).tolist())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77"},
    )

    assert is_holdout(ids, 0.5).tolist() == kept
    assert other.stdout.strip() == str(kept)


def test_training_and_holdout_share_no_row_and_lose_none(lake, rows, verdict):
    lake.write(rows(400), source="table")
    lake.write(rows(400, first=400), source="table")
    lake.judge(verdict(1))

    training = set(lake.training_rows(2, seed=1)["order"])
    held = set(lake.holdout_rows(1)["order"]) | set(lake.holdout_rows(2)["order"])

    assert not training & held
    assert len(training | held) == 800
    assert np.isclose(len(held) / 800, 0.25, atol=0.06)
