"""From rows of the lake to the matrix of a training."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kontinual.errors import TrainingError
from kontinual.spec import Loop
from kontinual.training import TrainingSet, prepare

MakeFlights = Callable[..., pd.DataFrame]


class _Lake:
    """Three accepted spans, the rows of which say where they come from by their hour."""

    def __init__(self, make_flights: MakeFlights) -> None:
        self._make = make_flights
        self.seeds: list[int] = []

    def accepted(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(number=n) for n in (1, 2, 4)]

    def training_rows(self, newest: int, /, *, seed: int) -> pd.DataFrame:
        self.seeds.append(seed)
        return self._make(50, seed=newest)

    def recent_holdout(self, newest: int, /) -> tuple[list[int], pd.DataFrame]:
        return [newest], self._make(20, seed=100 + newest)


def test_the_newest_span_and_the_older_accepted_ones_are_named(
    loop: Loop, make_flights: MakeFlights
) -> None:
    lake = _Lake(make_flights)
    data = prepare(loop, lake, 3, seed=11)
    assert data.spans == [1, 2, 3]
    assert lake.seeds == [11]
    assert data.matrix.shape == (50, 4)
    assert data.holdout_matrix.shape == (20, 4)


def test_without_replay_only_the_newest_span_is_named(
    loop: Loop, make_flights: MakeFlights
) -> None:
    alone = loop.model_copy(update={"data": loop.data.model_copy(update={"replay_rows": 0})})
    assert prepare(alone, _Lake(make_flights), 4, seed=1).spans == [4]


def test_rows_become_float32_with_null_and_unseen_values(
    loop: Loop, make_flights: MakeFlights
) -> None:
    rows = make_flights(300, seed=3)
    data = TrainingSet.of(loop, rows, rows, spans=[1])
    assert data.matrix.dtype == np.float32
    order = loop.data.feature_names
    assert order == ["hour", "distance", "temp", "origin"]
    np.testing.assert_array_equal(np.isnan(data.matrix[:, 2]), rows.temp.isna())
    np.testing.assert_array_equal(data.matrix[:, 3] == 3, rows.origin == "XXX")
    assert data.times is not None
    assert (np.diff(data.times) == 60 * 10**9).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.iloc[:0], "there are no training rows"),
        (lambda f: f.drop(columns="temp"), "training rows have no column temp"),
        (lambda f: f.assign(temp="warm"), "column temp holds numbers, but got"),
        (lambda f: f.assign(late=2), "label late of the training rows is 0 or 1, but got"),
        (lambda f: f.assign(late=0), r"spans \[7\]: all 60 training rows have late = 0"),
    ],
    ids=["empty", "column", "type", "label", "one-label"],
)
def test_rows_that_can_not_be_trained_on_are_refused_by_name(
    loop: Loop,
    make_flights: MakeFlights,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    rows = make_flights(60, seed=4)
    with pytest.raises(TrainingError, match=message):
        TrainingSet.of(loop, spoil(rows), rows, spans=[7])


def test_a_column_of_nulls_alone_can_be_trained_on(loop: Loop, make_flights: MakeFlights) -> None:
    rows = make_flights(60, seed=5).assign(temp=np.nan)
    data = TrainingSet.of(loop, rows, rows, spans=[1])
    assert np.isnan(data.matrix[:, 2]).all()
