import random
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.collector import Prediction, Store, StoreCounts
from kontinual.errors import ServiceError
from kontinual.spec import LabelRecord

Maker = Callable[..., Prediction]


def label(number: int, value: int) -> LabelRecord:
    return LabelRecord(id=f"p{number}", label=value, time=datetime(2024, 5, 3, tzinfo=UTC))


def test_a_label_that_comes_later_matures_its_row(store: Store, prediction: Maker) -> None:
    assert store.add([prediction(1), prediction(2)]).stored == 2
    result = store.label([label(2, 1)])
    assert (result.joined, result.matured[0].label) == (1, 1)
    (row,) = store.examples(after=0, limit=10)
    assert (row.seq, row.id, row.label, row.score) == (1, "p2", 1, 0.25)
    assert row.features == prediction(2).features
    assert row.time == prediction(2).time
    assert store.counts == StoreCounts(unlabelled=1, matured=1, taken=0)


def test_a_label_that_comes_early_joins_when_its_row_arrives(
    store: Store, prediction: Maker
) -> None:
    assert store.label([label(1, 1)]).early == 1
    assert store.examples(after=0, limit=10) == []
    result = store.add([prediction(1, score=0.9)])
    assert [(m.label, m.score) for m in result.matured] == [(1, 0.9)]
    assert [e.id for e in store.examples(after=0, limit=10)] == ["p1"]
    assert store.label([label(1, 1)]).duplicate == 1


def test_the_first_prediction_of_an_id_wins(store: Store, prediction: Maker) -> None:
    store.add([prediction(1, score=0.1)])
    again = store.add([prediction(1, score=0.9), prediction(2), prediction(2, score=0.7)])
    assert (again.stored, again.duplicate) == (1, 2)
    store.label([label(1, 0), label(2, 0)])
    assert [e.score for e in store.examples(after=0, limit=10)] == [0.1, 0.25]


def test_the_first_label_of_an_id_wins_and_the_rest_are_told_apart(
    store: Store, prediction: Maker
) -> None:
    store.add([prediction(1)])
    result = store.label([label(1, 1), label(1, 1), label(1, 0), label(2, 0), label(2, 1)])
    assert (result.joined, result.duplicate, result.conflict, result.early) == (1, 1, 2, 1)
    later = store.label([label(1, 0), label(2, 0)])
    assert (later.duplicate, later.conflict) == (1, 1)
    assert [e.label for e in store.examples(after=0, limit=10)] == [1]


def test_examples_come_in_pages_without_gap_or_repeat(store: Store, prediction: Maker) -> None:
    store.add([prediction(n) for n in range(25)])
    store.label([label(n, n % 2) for n in reversed(range(25))])
    seen: list[str] = []
    while page := store.examples(after=len(seen), limit=10):
        seen += [e.id for e in page]
    assert seen == [f"p{n}" for n in reversed(range(25))]


def test_more_ids_than_one_query_may_name_are_all_found(store: Store, prediction: Maker) -> None:
    many = [prediction(n) for n in range(1_200)]
    assert store.add(many).stored == 1_200
    assert store.add(many).duplicate == 1_200
    assert store.label([label(n, 1) for n in range(1_200)]).joined == 1_200


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path, prediction: Maker) -> None:
    path = tmp_path / "deep" / "store.sqlite"
    first = Store(path, loop="parcels")
    first.add([prediction(1), prediction(2, version="2"), prediction(3)])
    first.label([label(1, 1), label(9, 0)])
    first.take(1)
    counts = first.counts
    first.close()
    second = Store(path, loop="parcels")
    assert second.counts == counts == StoreCounts(unlabelled=2, matured=1, taken=1)
    assert second.identity == first.identity
    assert second.waiting_versions(limit=9) == ["1", "2"]
    assert second.waiting_versions(limit=1) == ["1"]
    assert second.add([prediction(9)]).matured[0].label == 0
    assert [e.seq for e in second.examples(after=0, limit=10)] == [1, 2]
    second.close()


def test_the_cursor_never_goes_back_nor_past_the_end(store: Store, prediction: Maker) -> None:
    store.add([prediction(n) for n in range(3)])
    store.label([label(n, 1) for n in range(3)])
    assert store.take(2) == 2
    assert store.take(1) == 2
    assert store.counts.untaken == 1
    with pytest.raises(ValueError, match=r"cursor is at most 3, .* but got 4"):
        store.take(4)
    assert store.counts.taken == 2


def test_a_second_owner_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="another collector has this store open"):
        Store(tmp_path / "store.sqlite", loop="parcels")


def test_another_loops_store_is_refused_and_let_go_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    Store(path, loop="letters").close()
    with pytest.raises(ServiceError, match="holds loop 'letters', not 'parcels'"):
        Store(path, loop="parcels")
    Store(path, loop="letters").close()


def test_a_new_store_is_another_one_even_in_the_same_place(tmp_path: Path) -> None:
    identities = set()
    for _ in range(2):
        store = Store(tmp_path / "store.sqlite", loop="parcels")
        identities.add(store.identity)
        store.close()
        for file in tmp_path.glob("store.sqlite*"):
            file.unlink()
    assert len(identities) == 2


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cursor (loop TEXT, taken INTEGER)")
    other.close()
    with pytest.raises(ServiceError, match=r"has format 0, .* name another --store"):
        Store(path, loop="parcels")


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"no database, but long enough to look at" * 100)
    with pytest.raises(ServiceError, match=r"store\.sqlite: the store can not be used"):
        Store(path, loop="parcels")
    assert path.read_bytes().startswith(b"no database")


def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="the store can not be written"):
        Store(tmp_path / "file" / "store.sqlite", loop="parcels")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 30), batch=st.integers(1, 7))
def test_in_whatever_order_they_come_each_row_meets_its_label_once(
    tmp_path: Path, prediction: Maker, seed: int, rows: int, batch: int
) -> None:
    """Predictions and labels, each delivered twice, shuffled and in batches."""
    rng = random.Random(seed)
    truth = {n: rng.randint(0, 1) for n in range(rows)}
    arrivals = [(kind, n) for n in truth for kind in ("row", "label") for _ in range(2)]
    rng.shuffle(arrivals)
    store = Store(Path(tempfile.mkdtemp(dir=tmp_path)) / "store.sqlite", loop="parcels")
    stored = matured = 0
    for start in range(0, len(arrivals), batch):
        part = arrivals[start : start + batch]
        added = store.add([prediction(n) for kind, n in part if kind == "row"])
        labelled = store.label([label(n, truth[n]) for kind, n in part if kind == "label"])
        assert labelled.conflict == 0
        stored += added.stored
        matured += len(added.matured) + len(labelled.matured)
    examples = store.examples(after=0, limit=1_000)
    store.close()
    assert stored == matured == len(examples) == rows
    assert [e.seq for e in examples] == list(range(1, rows + 1))
    assert {e.id: e.label for e in examples} == {f"p{n}": v for n, v in truth.items()}
