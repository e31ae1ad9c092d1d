"""Rows that were taken are forgotten in time, and yet known when they come again."""

import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.collector import Forgotten, Prediction, Store, StoreCounts, store
from kontinual.spec import LabelRecord

Maker = Callable[..., Prediction]
MONTH = timedelta(days=30)


@pytest.fixture
def kept(tmp_path: Path, clock: Any) -> Iterator[Store]:
    kept = Store(tmp_path / "kept.sqlite", loop="parcels", retention=MONTH, clock=clock)
    yield kept
    kept.close()


def fill(kept: Store, prediction: Maker, numbers: range) -> None:
    kept.add([prediction(n) for n in numbers])
    kept.label([LabelRecord(id=f"p{n}", label=n % 2) for n in numbers])


def ids(kept: Store, after: int) -> list[str]:
    return [example.id for example in kept.examples(after=after, limit=1000)]


def test_rows_go_a_while_after_they_were_taken_and_no_others(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    fill(kept, prediction, range(6))
    kept.add([prediction(99)])
    kept.take(2)
    clock.now += MONTH / 2
    kept.take(4)
    assert kept.prune() == 0
    clock.now += MONTH / 2
    assert kept.prune() == 2
    assert kept.prune() == 0
    assert ids(kept, after=2) == ["p2", "p3", "p4", "p5"]
    clock.now += MONTH
    assert kept.prune() == 2
    assert ids(kept, after=4) == ["p4", "p5"]
    assert kept.counts == StoreCounts(unlabelled=1, matured=6, taken=4)


def test_a_row_that_was_forgotten_is_a_duplicate_when_it_comes_again(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    fill(kept, prediction, range(2))
    kept.take(2)
    clock.now += MONTH
    assert kept.prune() == 2
    again = kept.add([prediction(0), prediction(1), prediction(2)])
    assert (again.stored, again.duplicate, again.matured) == (1, 2, [])
    same, other = LabelRecord(id="p0", label=0), LabelRecord(id="p1", label=0)
    result = kept.label([same, other, LabelRecord(id="p2", label=1)])
    assert (result.duplicate, result.conflict, result.joined, result.early) == (1, 1, 1, 0)
    assert [e.seq for e in kept.examples(after=2, limit=10)] == [3]


def test_rows_that_are_gone_are_never_passed_over_in_silence(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    fill(kept, prediction, range(4))
    kept.take(3)
    clock.now += MONTH
    kept.prune()
    with pytest.raises(Forgotten, match=r"rows up to 3 .* no longer kept, but those after 2 were"):
        kept.examples(after=2, limit=10)


def test_numbers_go_on_where_they_were_after_all_rows_went_and_a_restart(
    tmp_path: Path, prediction: Maker, clock: Any
) -> None:
    path = tmp_path / "store.sqlite"
    first = Store(path, loop="parcels", retention=MONTH, clock=clock)
    fill(first, prediction, range(5))
    first.take(5)
    clock.now += MONTH
    assert first.prune() == 5
    first.close()
    second = Store(path, loop="parcels", retention=MONTH, clock=clock)
    assert second.counts == StoreCounts(unlabelled=0, matured=5, taken=5)
    fill(second, prediction, range(5, 7))
    assert [e.seq for e in second.examples(after=5, limit=10)] == [6, 7]
    second.close()


def test_a_pruning_that_breaks_off_is_taken_up_again(
    kept: Store, prediction: Maker, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PRUNED_AT_ONCE", 2)
    fill(kept, prediction, range(7))
    kept.take(7)
    clock.now += MONTH
    commits = iter([True, False])

    def fails_at_the_second(_: Any) -> None:
        if not next(commits, True):
            raise sa.exc.OperationalError("COMMIT", {}, Exception("disk full"))

    sa.event.listen(kept._engine, "commit", fails_at_the_second)
    with pytest.raises(sa.exc.OperationalError):
        kept.prune()
    assert (kept.pruned, ids(kept, after=2)) == (2, ["p2", "p3", "p4", "p5", "p6"])
    assert kept.prune() == 5
    assert kept.add([prediction(n) for n in range(7)]).duplicate == 7


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 25))
def test_whatever_comes_when_each_row_is_read_once(
    tmp_path: Path, prediction: Maker, clock: Any, seed: int, rows: int
) -> None:
    """Rows and labels come several times, are taken, forgotten, and the store is opened anew."""
    rng = random.Random(seed)
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "store.sqlite"
    kept = Store(path, loop="parcels", retention=MONTH, clock=clock)
    arrivals = [(kind, n) for n in range(rows) for kind in ("row", "label") for _ in range(3)]
    rng.shuffle(arrivals)
    read: list[str] = []
    for kind, n in arrivals:
        if kind == "row":
            kept.add([prediction(n)])
        else:
            assert kept.label([LabelRecord(id=f"p{n}", label=n % 2)]).conflict == 0
        clock.now += MONTH / 5
        match rng.randrange(4):
            case 0:
                read += ids(kept, after=len(read))
                kept.take(len(read))
            case 1:
                kept.prune()
            case 2:
                kept.close()
                kept = Store(path, loop="parcels", retention=MONTH, clock=clock)
    read += ids(kept, after=len(read))
    kept.close()
    assert sorted(read) == sorted(f"p{n}" for n in range(rows))
