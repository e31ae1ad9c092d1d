"""The store knows when what it keeps arrived."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kontinual.collector import Answered, Forgotten, Prediction, Store
from kontinual.spec import LabelRecord

Maker = Callable[..., Prediction]
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def kept(tmp_path: Path, clock: Any) -> Iterator[Store]:
    kept = Store(tmp_path / "kept.sqlite", loop="parcels", retention=DAY, clock=clock)
    yield kept
    kept.close()


def answered(kept: Store, since: datetime, **options: Any) -> list[Answered]:
    chosen = {"until": since + 10 * DAY, "limit": 1000, **options}
    return kept.answered(["1", "2"], since=since, **chosen)


def test_predictions_are_found_by_version_and_arrival_with_the_labels_of_now(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    start = clock.now
    for n, version in enumerate("1231"):
        kept.add([prediction(n, version=version, score=n / 10)])
        clock.now += MINUTE
    kept.label([LabelRecord(id="p1", label=1)])
    found = answered(kept, start)
    assert [(r.version, r.score, r.label) for r in found] == [
        ("1", 0.0, None),
        ("2", 0.1, 1),
        ("1", 0.3, None),
    ]
    assert [r.arrived - start.timestamp() for r in found] == [0, 60, 180]


def test_a_time_holds_its_first_moment_and_not_its_last(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    start = clock.now
    for n in range(4):
        kept.add([prediction(n, score=n / 10)])
        clock.now += MINUTE
    found = answered(kept, start + MINUTE, until=start + 3 * MINUTE)
    assert [r.score for r in found] == [0.1, 0.2]


def test_a_row_whose_label_was_early_arrived_when_the_row_did(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    kept.label([LabelRecord(id="p1", label=1)])
    clock.now += MINUTE
    kept.add([prediction(1)])
    assert answered(kept, clock.now) == [Answered(clock.now.timestamp(), "1", 0.25, 1)]


def test_a_duplicate_does_not_arrive_again(kept: Store, prediction: Maker, clock: Any) -> None:
    start = clock.now
    kept.add([prediction(1)])
    clock.now += MINUTE
    kept.add([prediction(1)])
    assert [r.arrived for r in answered(kept, start)] == [start.timestamp()]


@pytest.mark.parametrize(("limit", "rows"), [(1, 2), (2, 2), (3, 5), (5, 5), (6, 6), (7, 6)])
def test_a_limit_parts_nothing_that_arrived_together(
    kept: Store, prediction: Maker, clock: Any, limit: int, rows: int
) -> None:
    start = clock.now
    for numbers in ([0, 1], [2, 3, 4], [5]):
        kept.add([prediction(n) for n in numbers])
        clock.now += MINUTE
    assert len(answered(kept, start, limit=limit)) == rows


def test_a_time_of_which_rows_were_forgotten_is_refused(
    kept: Store, prediction: Maker, clock: Any
) -> None:
    start = clock.now
    for n in range(2):
        kept.add([prediction(n)])
        kept.label([LabelRecord(id=f"p{n}", label=1)])
        clock.now += MINUTE
    kept.take(1)
    clock.now += DAY
    assert kept.prune().taken == 1
    with pytest.raises(Forgotten, match=r"arrived up to 2024-05-02 00:00:00\+00:00 some are no"):
        answered(kept, start)
    assert len(answered(kept, start + MINUTE)) == 1


def test_who_reads_waits_for_no_writer(kept: Store, prediction: Maker, clock: Any) -> None:
    kept.add([prediction(1)])
    found: list[Answered] = []
    reader = threading.Thread(target=lambda: found.extend(answered(kept, clock.now)))
    with sqlite3.connect(kept._engine.url.database or "") as writer, kept._guard:
        writer.execute("BEGIN IMMEDIATE")
        reader.start()
        reader.join(5)
        assert len(found) == 1
        writer.rollback()
    writer.close()


def test_arrivals_are_read_by_an_index(kept: Store) -> None:
    with kept._engine.connect() as tx:
        asked = "SELECT score FROM predictions WHERE arrived >= 1 AND version IN ('1', '2')"
        plan = str(tx.execute(sa.text(f"EXPLAIN QUERY PLAN {asked} ORDER BY arrived")).all())
    assert "USING INDEX arrivals" in plan
    assert "TEMP B-TREE" not in plan
