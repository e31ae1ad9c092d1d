"""From rows of the lake to the matrix of a training."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kontinual.errors import TrainingError
from kontinual.lake import Lake, Verdict, spanfile
from kontinual.spec import Loop
from kontinual.training import TrainingSet, prepare

MakeFlights = Callable[..., pd.DataFrame]


class _Parts:
    """Rows in parts of a few, the first of them without these columns."""

    def __init__(self, frame: pd.DataFrame, *, first_lacks: Sequence[str] = ()) -> None:
        self._frame, self._lacks = frame, list(first_lacks)

    def __len__(self) -> int:
        return len(self._frame)

    @property
    def columns(self) -> Sequence[str]:
        return list(self._frame.columns)

    def parts(self, columns: Sequence[str], /) -> Iterator[pd.DataFrame]:
        for begin in range(0, len(self._frame), 7):
            part = self._frame.iloc[begin : begin + 7][list(columns)]
            yield part if begin else part.drop(columns=self._lacks)


class _Lake:
    """Three accepted spans, the rows of which say where they come from by their hour."""

    def __init__(self, make_flights: MakeFlights) -> None:
        self._make = make_flights
        self.seeds: list[int] = []

    def accepted(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(number=n) for n in (1, 2, 4)]

    def training_rows(self, newest: int, /, *, seed: int) -> _Parts:
        self.seeds.append(seed)
        return _Parts(self._make(50, seed=newest))

    def recent_holdout(self, newest: int, /) -> tuple[list[int], _Parts]:
        return [newest], _Parts(self._make(20, seed=100 + newest))


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


def test_rows_in_parts_are_encoded_to_the_very_bits_that_they_are_at_once(
    loop: Loop, make_flights: MakeFlights
) -> None:
    rows, held = make_flights(300, seed=6), make_flights(90, seed=7)
    rows.loc[:40, ["temp", "origin"]] = None  # whole parts of nulls
    assert _bits(TrainingSet.of(loop, _Parts(rows), _Parts(held), spans=[1])) == _bits(
        TrainingSet.of(loop, rows, held, spans=[1])
    )


def test_a_feature_is_null_in_rows_from_before_it_was_declared(
    loop: Loop, make_flights: MakeFlights
) -> None:
    rows = make_flights(60, seed=8)
    older = _Parts(rows, first_lacks=["temp", "origin"])
    rows.loc[:6, ["temp", "origin"]] = None
    assert _bits(TrainingSet.of(loop, older, rows, spans=[1])) == _bits(
        TrainingSet.of(loop, rows, rows, spans=[1])
    )


def test_the_lake_gives_a_training_only_what_it_needs_part_by_part(
    loop: Loop, make_flights: MakeFlights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spanfile, "GROUP_ROWS", 500)
    lake = Lake(str(tmp_path), loop)
    for seed in (1, 2):
        times = pd.date_range("2026-01-01", periods=3000, freq="10min", tz="UTC")
        frame = make_flights(3000, seed=seed).assign(departure=times + seed * timedelta(days=30))
        lake.write(frame if seed == 2 else frame.drop(columns="temp"), source="table")
        lake.judge(Verdict(span=seed, accepted=True, at=times[0]))

    asked = lake.training_rows(2, seed=3)
    found = list(asked.parts(["departure", "temp"]))

    assert len(found) > 6
    assert {tuple(part.columns) for part in found} == {("departure", "temp"), ("departure",)}
    at_once = asked.read(), lake.holdout_rows(2).read()
    assert _bits(prepare(loop, lake, 2, seed=3)) == _bits(
        TrainingSet.of(loop, *at_once, spans=[1, 2])
    )


def _bits(data: TrainingSet) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in vars(data).items() if isinstance(v, np.ndarray)}


@pytest.mark.parametrize("in_parts", [False, True])
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
    in_parts: bool,
) -> None:
    rows = make_flights(60, seed=4)
    spoilt = spoil(rows)
    with pytest.raises(TrainingError, match=message):
        TrainingSet.of(loop, _Parts(spoilt) if in_parts else spoilt, rows, spans=[7])


def test_a_column_of_nulls_alone_can_be_trained_on(loop: Loop, make_flights: MakeFlights) -> None:
    rows = make_flights(60, seed=5).assign(temp=np.nan)
    data = TrainingSet.of(loop, rows, rows, spans=[1])
    assert np.isnan(data.matrix[:, 2]).all()
