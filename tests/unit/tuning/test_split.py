"""The rows that trials are scored on are the newest."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kontinual.errors import TrainingError
from kontinual.training import TrainingSet
from kontinual.tuning.split import Split, newest_last


def test_every_validation_row_is_newer_than_every_fitted_one(data: TrainingSet) -> None:
    assert data.times is not None
    marked = dataclasses.replace(data, matrix=data.times[:, None].astype(np.float32))
    split = newest_last(marked)
    assert split.matrix.max() < split.validation_matrix.min()
    assert len(split.validation_labels) == 240
    together = np.concatenate([split.matrix, split.validation_matrix])
    assert sorted(together[:, 0]) == list(range(1200))


def test_without_times_the_order_of_rows_is_the_order_of_time(data: TrainingSet) -> None:
    split = newest_last(dataclasses.replace(data, times=None))
    np.testing.assert_array_equal(split.validation_matrix, data.matrix[-240:])
    np.testing.assert_array_equal(split.labels, data.labels[:-240])


def test_a_newest_part_of_one_label_is_refused(data: TrainingSet) -> None:
    labels = data.labels.copy()
    labels[-240:] = 1
    with pytest.raises(TrainingError, match=r"both labels among the newest rows of spans \[1\]"):
        newest_last(dataclasses.replace(data, labels=labels, times=None))


def test_other_processes_read_the_split_that_was_saved(data: TrainingSet, tmp_path: Path) -> None:
    split = newest_last(data)
    split.save(tmp_path)
    read = Split.load(tmp_path)
    for name, array in vars(split).items():
        np.testing.assert_array_equal(getattr(read, name), array)
