"""What was taken is forgotten in time, and yet known when it comes again; what waits is not."""

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

from kontinual.collector import Forgotten, Prediction, Pruned, Store, StoreCounts, pruning
from kontinual.spec import LabelRecord

Maker = Callable[..., Prediction]
MONTH = timedelta(days=30)
YEAR = 12 * MONTH
LONG = 10 * YEAR
TIMES: dict[str, Any] = {"retention": MONTH, "patience": YEAR}


@pytest.fixture
def kept(tmp_path: Path, clock: Any) -> Iterator[Store]:
    kept = Store(tmp_path / "kept.sqlite", loop="parcels", clock=clock, **TIMES)
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
    assert kept.prune() == Pruned()
    clock.now += MONTH / 2
    assert kept.prune() == Pruned(taken=2)
    assert kept.prune() == Pruned()
    assert ids(kept, after=2) == ["p2", "p3", "p4", "p5"]
    clock.now += MONTH
    assert kept.prune() == Pruned(taken=2)
    assert ids(kept, after=4) == ["p4", "p5"]
    assert kept.counts == StoreCounts(unlabelled=1, matured=6, taken=4)


def test_a_row_that_was_forgotten_is_a_duplicate_when_it_comes_again(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    fill(kept, prediction, range(2))
    kept.take(2)
    clock.now += MONTH
    assert kept.prune() == Pruned(taken=2)
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
    first = Store(path, loop="parcels", clock=clock, **TIMES)
    fill(first, prediction, range(5))
    first.take(5)
    clock.now += MONTH
    assert first.prune() == Pruned(taken=5)
    first.close()
    second = Store(path, loop="parcels", clock=clock, **TIMES)
    assert second.counts == StoreCounts(unlabelled=0, matured=5, taken=5)
    fill(second, prediction, range(5, 7))
    assert [e.seq for e in second.examples(after=5, limit=10)] == [6, 7]
    second.close()


def test_a_pruning_that_breaks_off_is_taken_up_again(
    kept: Store, prediction: Maker, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PRUNED_AT_ONCE", 2)
    fill(kept, prediction, range(7))
    kept.take(7)
    clock.now += MONTH
    commits = iter([True, False])

    def fails_at_the_second(_: Any) -> None:
        if not next(commits, True):
            raise sa.exc.OperationalError("COMMIT", {}, Exception("disk full"))

    sa.event.listen(kept._engine, "commit", fails_at_the_second)
    kept.prune()
    with pytest.raises(sa.exc.OperationalError):
        kept.prune()
    assert (kept.pruned, ids(kept, after=2)) == (2, ["p2", "p3", "p4", "p5", "p6"])
    assert [kept.prune().taken for _ in range(4)] == [2, 2, 1, 0]
    assert kept.add([prediction(n) for n in range(7)]).duplicate == 7


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 25), patience=st.sampled_from([MONTH, LONG]))
def test_whatever_comes_when_each_row_is_read_once(
    tmp_path: Path, prediction: Maker, clock: Any, seed: int, rows: int, patience: timedelta
) -> None:
    """Rows and labels come several times, are taken, forgotten, and the store is opened anew.

    A row is missing only if the store lost patience with it.
    """
    rng = random.Random(seed)
    times: dict[str, Any] = {"retention": MONTH, "patience": patience}
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "store.sqlite"
    kept = Store(path, loop="parcels", clock=clock, **times)
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
                kept = Store(path, loop="parcels", clock=clock, **times)
    read += ids(kept, after=len(read))
    kept.close()
    once = {f"p{n}" for n in range(rows)}
    assert len(read) == len(set(read))
    assert set(read) == once if patience == LONG else set(read) <= once


def test_what_waits_in_vain_is_forgotten_and_what_was_labelled_is_not(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    fill(kept, prediction, range(2))
    kept.add([prediction(n) for n in range(2, 5)])
    kept.label([LabelRecord(id="p90", label=1)])
    clock.now += YEAR / 2
    kept.add([prediction(5)])
    kept.label([LabelRecord(id="p91", label=1)])
    assert kept.prune() == Pruned()
    clock.now += YEAR / 2
    assert kept.prune() == Pruned(unlabelled=3, early=1)
    assert kept.prune() == Pruned()
    assert kept.counts == StoreCounts(unlabelled=1, matured=2, taken=0)
    assert ids(kept, after=0) == ["p0", "p1"]
    with pytest.raises(Forgotten):
        kept.answered(["1"], since=clock.now - YEAR, until=clock.now, limit=10)
    assert len(kept.answered(["1"], since=clock.now - YEAR / 2, until=clock.now, limit=10)) == 1


def test_a_label_for_a_forgotten_prediction_is_early_and_forgotten_in_its_turn(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    kept.add([prediction(1)])
    clock.now += YEAR
    assert kept.prune() == Pruned(unlabelled=1)
    assert kept.label([LabelRecord(id="p1", label=1)]).early == 1
    clock.now += YEAR
    assert kept.prune() == Pruned(early=1)
    assert kept.add([prediction(1)]).stored == 1
    assert kept.counts == StoreCounts(unlabelled=1, matured=0, taken=0)


def test_a_store_does_not_grow_where_few_rows_are_ever_labelled(
    tmp_path: Path, prediction: Maker, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row in ten is labelled, and half of all labels are of rows that never come."""
    monkeypatch.setattr(pruning, "PRUNED_AT_ONCE", 7)
    day = timedelta(days=1)
    kept = Store(
        tmp_path / "kept.sqlite", loop="parcels", retention=day, patience=5 * day, clock=clock
    )
    for start in range(0, 600, 20):
        kept.add([prediction(n) for n in range(start, start + 20)])
        known = [start, start + 10, *range(start + 1000, start + 1002)]
        kept.label([LabelRecord(id=f"p{n}", label=1) for n in known])
        kept.take(kept.counts.matured)
        clock.now += day
        while any(kept.prune()):
            pass
    tables = (pruning.predictions, pruning.early, pruning.takes)
    with kept._engine.connect() as tx:
        rows = [tx.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]
    assert rows == [4 * 18, 4 * 2, 1]
    assert kept.counts == StoreCounts(unlabelled=4 * 18, matured=60, taken=60)
    kept.close()


def test_what_is_old_is_found_by_an_index(kept: Store) -> None:
    """Else each look would read every prediction that waits."""
    plans = []
    for query in (pruning._oldest(pruning.early, 1.0), pruning._waiting(1.0)):
        sql = query.compile(kept._engine, compile_kwargs={"literal_binds": True})
        with kept._engine.connect() as tx:
            plans.append(str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()))
    assert "USING INDEX ix_early_labels_arrived (arrived<?)" in plans[0]
    assert "USING INDEX waiting (arrived<?)" in plans[1]
    assert "TEMP B-TREE" not in "".join(plans)
