"""No row is an example before its label's delay is over, however soon the label came."""

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.collector import Prediction, Store, StoreCounts, app, create_app
from kontinual.spec import LabelRecord, Loop

Maker = Callable[..., Prediction]
HOUR = timedelta(hours=1)
DELAY = timedelta(days=10)
START = datetime(2024, 5, 1, tzinfo=UTC)


def row(number: int, moment: datetime) -> Prediction:
    return Prediction(id=f"p{number}", time=moment, version="1", score=0.25, features={})


def label(number: int, value: int = 1) -> LabelRecord:
    return LabelRecord(id=f"p{number}", label=value)


@pytest.fixture
def slow(tmp_path: Path, clock: Any) -> Iterator[Store]:
    slow = Store(tmp_path / "slow.sqlite", loop="parcels", delay=DELAY, clock=clock)
    yield slow
    slow.close()


def test_a_label_that_comes_soon_waits_until_its_delay_is_over(slow: Store, clock: Any) -> None:
    slow.add([row(1, clock.now)])
    result = slow.label([label(1)])
    assert (result.joined, result.matured) == (1, [])
    clock.now += DELAY - HOUR
    assert slow.ripen() == []
    assert slow.counts == StoreCounts(unlabelled=0, matured=0, taken=0, ripening=1)
    assert slow.examples(after=0, limit=10) == []
    clock.now += HOUR
    assert [m.label for m in slow.ripen()] == [1]
    assert slow.ripen() == []
    assert slow.counts == StoreCounts(unlabelled=0, matured=1, taken=0)
    assert [(e.seq, e.id) for e in slow.examples(after=0, limit=10)] == [(1, "p1")]
    assert slow.label([label(1)]).duplicate == 1


def test_a_label_that_comes_late_makes_an_example_at_once(slow: Store, clock: Any) -> None:
    slow.add([row(1, clock.now - DELAY), row(2, clock.now)])
    assert len(slow.label([label(1)]).matured) == 1
    slow.label([label(3)])
    assert len(slow.add([row(3, clock.now - DELAY)]).matured) == 1
    assert slow.counts == StoreCounts(unlabelled=1, matured=2, taken=0)


def test_labels_of_one_kind_that_come_first_make_no_span_of_their_own(
    slow: Store, clock: Any
) -> None:
    """Who leaves is known on the day, who stays after ten."""
    slow.add([row(n, clock.now + n * HOUR) for n in range(200)])
    for n in range(200):
        clock.now += HOUR
        if n % 5 == 0:
            slow.label([label(n, 1)])
        slow.ripen()
    assert slow.examples(after=0, limit=1000) == []
    slow.label([label(n, 0) for n in range(200) if n % 5])
    clock.now += DELAY
    slow.ripen()
    assert sum(e.label for e in slow.examples(after=0, limit=1000)) == 40


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["add", "label", "wait", "ripen", "restart"]), st.integers(0, 9)),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_labelled_row_matures_once_and_never_sooner(moves: list[tuple[str, int]]) -> None:
    now, added, labelled, matured = START, {}, set[int](), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"

        def opened() -> Store:
            return Store(path, loop="parcels", delay=3 * HOUR, clock=lambda: now)

        store = opened()
        for move, number in [*moves, ("wait", 9), ("wait", 9), ("ripen", 0)]:
            if move == "add":
                added.setdefault(number, now - number * HOUR)
                matured += len(store.add([row(number, added[number])]).matured)
            elif move == "label":
                labelled.add(number)
                matured += len(store.label([label(number)]).matured)
            elif move == "wait":
                now += number * HOUR
            elif move == "ripen":
                while some := store.ripen():
                    matured += len(some)
                due = {n for n, moment in added.items() if moment + 3 * HOUR <= now}
                found = store.examples(after=0, limit=100)
                assert {e.id for e in found} == {f"p{n}" for n in labelled & due}
                assert [e.seq for e in found] == list(range(1, matured + 1))
                left = len(labelled & added.keys()) - matured
                assert store.counts.ripening == left
            else:
                store.close()
                store = opened()
        store.close()
    assert matured == len(labelled & added.keys())


def test_what_is_due_matures_of_itself_and_is_counted_then(
    loop: Loop, tmp_path: Path, clock: Any, event: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(app, "RIPEN_SECONDS", 0.01)
    store = Store(tmp_path / "slow.sqlite", loop="parcels", delay=DELAY, clock=clock)
    counted = 'kontinual_outcomes_total{group="all",model="parcels",slice="all",version="1"}'
    with TestClient(create_app(loop, store)) as client:
        client.post(
            "/api/v1/events",
            json=event(1),
            headers={"content-type": "application/cloudevents+json"},
        )
        client.post("/api/v1/labels", json={"labels": [{"id": "p1", "label": 1}]})
        page = client.get("/metrics").text
        assert f"{counted} 0.0" in page
        assert 'kontinual_ripening_rows{model="parcels"} 1.0' in page
        clock.now += 2 * DELAY
        deadline = time.monotonic() + 30
        while f"{counted} 1.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline, "it never matured"
            time.sleep(0.01)
        assert client.get("/api/v1/store").json()["ripening"] == 0
