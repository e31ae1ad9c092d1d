"""Trials are scored on whole blocks of time, which they were not fitted to."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.errors import TrainingError
from kontinual.lake import holdout_order, is_holdout
from kontinual.training import TrainingSet
from kontinual.tuning.split import Split

DAY = timedelta(days=1)


def rows_of(days: list[int]) -> TrainingSet:
    """One row for each day given; its only feature is its day."""
    times = pd.Series(pd.to_datetime(days, unit="D", utc=True))
    return TrainingSet(
        matrix=np.array(days, dtype=np.float32)[:, None],
        labels=(np.arange(len(days)) % 2).astype(np.int64),
        holdout_matrix=np.empty((0, 1), dtype=np.float32),
        holdout_labels=np.empty(0, dtype=np.int64),
        spans=[1],
        times=np.array(days, dtype=np.int64),
        blocks=holdout_order(times, DAY),
    )


@given(days=st.lists(st.integers(0, 400), min_size=40, max_size=400))
def test_a_block_is_on_one_side_and_no_row_is_lost(days: list[int]) -> None:
    days = [day for day in days for _ in range(2)]  # both labels in each block
    if len(set(days)) < 2:
        return
    split = Split.of(rows_of(days))
    fitted, scored = split.matrix[:, 0].tolist(), split.validation_matrix[:, 0].tolist()
    assert not set(fitted) & set(scored)
    assert sorted(fitted + scored) == sorted(days)
    assert fitted == sorted(fitted)
    assert scored == sorted(scored)


def test_a_fifth_of_the_rows_is_scored_on_from_every_stretch_of_time() -> None:
    split = Split.of(rows_of([day for day in range(100) for _ in range(10)]))
    assert len(split.validation_labels) == 200
    assert np.diff(np.unique(split.validation_matrix)).max() <= 8


def test_validation_takes_the_blocks_that_follow_the_holdouts() -> None:
    days = pd.Series(pd.to_datetime(range(500), unit="D", utc=True))
    left = [day for day, held in enumerate(is_holdout(days, 0.2, DAY)) if not held]
    split = Split.of(rows_of([day for day in left for _ in range(2)]))
    scored = np.unique(split.validation_matrix[:, 0]).astype(int)
    assert is_holdout(days, 0.2 + 0.8 * 0.2 + 0.01, DAY)[scored].all()


def test_rows_of_a_single_block_are_cut_within_it() -> None:
    split = Split.of(rows_of([7] * 50))
    assert len(split.validation_labels) == 10
    assert len(split.labels) == 40


def test_without_blocks_each_row_is_one(data: TrainingSet) -> None:
    split = Split.of(data)
    assert len(split.validation_labels) == 240
    assert len(split.labels) == 960


def test_validation_rows_of_one_label_are_refused(data: TrainingSet) -> None:
    blocks = np.repeat([0.1, 0.9], [240, 960])
    labels = data.labels.copy()
    labels[:240] = 1
    with pytest.raises(TrainingError, match=r"both labels among the validation rows of"):
        Split.of(dataclasses.replace(data, labels=labels, blocks=blocks))


def test_other_processes_read_the_split_that_was_saved(data: TrainingSet, tmp_path: Path) -> None:
    split = Split.of(data)
    split.save(tmp_path)
    read = Split.load(tmp_path)
    for name, array in vars(split).items():
        np.testing.assert_array_equal(getattr(read, name), array)
