from datetime import timedelta

import pytest

from kontinual.errors import DataRejected, LakeError
from kontinual.lake import is_holdout


@pytest.fixture
def filled(lake, rows, verdict):
    """Spans 1 to 4 of 400 rows each; 1 and 3 are accepted, 2 is rejected, 4 is new."""
    for i in range(4):
        lake.write(rows(400, first=400 * i), source="table")
    for number, accepted in [(1, True), (2, False), (3, True)]:
        lake.judge(verdict(number, accepted=accepted))
    return lake


def _span_of(frame):
    return frame["order"].str[1:].astype(int) // 400 + 1


def test_the_newest_span_is_whole_and_older_accepted_ones_are_sampled(filled, loop):
    training = filled.training_rows(4, seed=1).read()
    counts = _span_of(training).value_counts().to_dict()

    free = (~is_holdout(filled.read(4)["at"], 0.25, timedelta(days=1))).sum()
    assert counts[4] == free
    assert counts[1] + counts[3] == loop.data.replay_rows
    assert 2 not in counts


def test_the_sample_is_uniform_over_the_older_rows(filled):
    counts = _span_of(filled.training_rows(4, seed=1).read()).value_counts()

    assert counts[1] == pytest.approx(150, abs=40)
    assert counts[3] == pytest.approx(150, abs=40)


def test_the_seed_decides_the_sample(filled):
    one, again, other = (filled.training_rows(4, seed=s).read() for s in (1, 1, 2))

    assert one.equals(again)
    assert set(one["order"]) != set(other["order"])


def test_no_row_is_drawn_twice_and_no_column_is_added(filled):
    training = filled.training_rows(4, seed=3).read()

    assert training["order"].is_unique
    assert list(training.columns) == list(filled.read(4).columns)
    assert training.index.tolist() == list(range(len(training)))


def test_younger_spans_are_not_replayed_into_an_older_training(filled):
    assert set(_span_of(filled.training_rows(3, seed=1).read())) == {1, 3}


def test_replay_can_be_switched_off(filled, loop):
    data = loop.data.model_copy(update={"replay_rows": 0})
    filled.loop = loop.model_copy(update={"data": data})

    assert set(_span_of(filled.training_rows(4, seed=1).read())) == {4}


def test_a_rejected_span_is_never_trained_on(filled):
    with pytest.raises(DataRejected, match="span 2 was rejected by validation: price: 30 % null"):
        filled.training_rows(2, seed=1)


def test_a_damaged_older_span_stops_the_training(filled, monkeypatch):
    damaged = filled.span(1).data_file
    filled.store.write(f"spans/000001/{damaged}", b"rot")

    with pytest.raises(LakeError, match="reject span 1"):
        filled.training_rows(4, seed=1)
