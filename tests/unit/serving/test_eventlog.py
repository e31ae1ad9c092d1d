import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.serving import EventLog, LogLimits
from kontinual.serving.post import Body
from kontinual.spec import PREDICTIONS_EVENT, PredictionBatch

SCORES = [0.25]
QUICK = {"flush_seconds": 0.01, "retry_seconds": 0.02, "close_seconds": 20.0}


class FakeCollector:
    """Takes events as the collector does; can be away, or refuse those that hold some text."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.tries = 0
        self.away = False
        self.refused = ""
        self.lock = threading.Lock()

    def __call__(self, pieces: Body) -> tuple[int, str]:
        body = b"".join(pieces)
        with self.lock:
            self.tries += 1
            if self.away:
                raise ConnectionRefusedError("refused")
            if self.refused and self.refused in body.decode():
                return 422, "not a prediction"
            batch = json.loads(body)
            self.events += batch
            self.batches.append(sum(len(event["data"]["requests"]) for event in batch))
            return 202, ""

    def ids(self) -> list[str]:
        requests = [request for event in self.events for request in event["data"]["requests"]]
        return [request["instances"][0]["id"] for request in requests]


def start(collector: FakeCollector, **limits: Any) -> EventLog:
    return EventLog(
        "http://collector/",
        model="delays",
        version="3",
        limits=LogLimits(**{**QUICK, **limits}),
        post=collector,
    )


def asked(name: str, **more: Any) -> bytes:
    """A request as a client may write it."""
    return json.dumps({"instances": [{"id": name, **more}]}, indent=1).encode()


def framed(name: str) -> bytes:
    """What a request and its answer take in an event."""
    return b"%b,[0.25]," % asked(name)


def note(log: EventLog, *names: str) -> None:
    for name in names:
        log.add([asked(name)], [SCORES])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def test_answers_that_gathered_become_one_cloud_event() -> None:
    collector = FakeCollector()
    log = start(collector, flush_seconds=60)
    note(log, "a", "b")
    log.close()
    (event,) = collector.events
    assert event["specversion"] == "1.0"
    assert event["type"] == PREDICTIONS_EVENT
    assert event["source"] == "/models/delays/versions/3"
    assert event["time"].endswith("Z")
    assert abs(time.time() - datetime.fromisoformat(event["time"]).timestamp()) < 60
    data = PredictionBatch[dict[str, Any]].model_validate(event["data"])
    assert data.version == "3"
    assert [r.instances for r in data.requests] == [[{"id": "a"}], [{"id": "b"}]]
    assert data.predictions == [[0.25], [0.25]]


def test_no_two_events_have_the_same_id() -> None:
    collector = FakeCollector()
    log = start(collector, batch_requests=3)
    note(log, *(str(i) for i in range(20)))
    log.close()
    ids = [event["id"] for event in collector.events]
    assert len(set(ids)) == len(ids) >= 7


def test_the_cloudevents_sdk_reads_what_is_sent() -> None:
    from cloudevents.http import from_json

    collector = FakeCollector()
    log = start(collector)
    note(log, "a")
    log.close()
    event = from_json(json.dumps(collector.events[0]))
    assert event["type"] == PREDICTIONS_EVENT
    assert event.data["predictions"] == [[0.25]]


def test_many_answers_travel_in_few_batches_in_order() -> None:
    collector = FakeCollector()
    log = start(collector, flush_seconds=60, batch_requests=500)
    note(log, *(str(i) for i in range(1200)))
    log.close()
    assert collector.ids() == [str(i) for i in range(1200)]
    assert collector.batches == [500, 500, 200]


def test_a_batch_is_bounded_in_bytes_too() -> None:
    collector = FakeCollector()
    log = start(collector, flush_seconds=60, batch_bytes=2000)
    log.add([asked("large", text="x" * 5000)], [SCORES])
    note(log, *(str(i) for i in range(100)))
    log.close()
    assert collector.ids() == ["large", *(str(i) for i in range(100))]
    assert collector.batches[0] == 1
    assert 1500 < max(collector.batches) * len(framed("10")) <= 2000


def test_nothing_is_lost_while_the_collector_is_away_for_a_while() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector)
    note(log, *(str(i) for i in range(50)))
    until(lambda: collector.tries >= 3)
    assert collector.events == []
    collector.away = False
    until(lambda: len(collector.ids()) == 50)
    log.close()
    assert sorted(map(int, collector.ids())) == list(range(50))
    assert set(log.dropped.values()) == {0}


def test_the_oldest_are_given_up_beyond_the_backlog_and_counted() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector, backlog_requests=10, batch_requests=4)
    note(log, *(str(i) for i in range(100)))
    collector.away = False
    log.close()
    assert {str(i) for i in range(91, 100)} <= set(collector.ids())
    assert 9 <= len(collector.ids()) <= 10
    assert log.dropped == {"backlog": 100 - len(collector.ids()), "rejected": 0, "shutdown": 0}


def test_the_newest_are_kept_and_the_oldest_go_by_the_batch() -> None:
    collector = FakeCollector()
    log = start(collector, flush_seconds=60, backlog_requests=1000)
    note(log, *(str(i) for i in range(5000)))
    assert log.dropped["backlog"] == 4000
    note(log, "5000")  # begins another batch
    assert log.dropped["backlog"] == 4100
    log.close()
    assert collector.ids() == [str(i) for i in range(4100, 5001)]


def test_what_is_kept_never_goes_beyond_the_backlog() -> None:
    log = start(FakeCollector(), flush_seconds=60, backlog_requests=1000)
    for i in range(2000):
        note(log, str(i))
        assert i + 1 - log.dropped["backlog"] <= 1000
    log.close()


def test_memory_is_taken_over_from_batches_that_were_delivered() -> None:
    collector = FakeCollector()
    log = start(collector, batch_requests=10)
    for i in range(500):  # long batches and short ones, while earlier ones are sent
        note(log, *(f"{i}-{n}-{'x' * (i * 37 % 101)}" for n in range(i * 7 % 23)))
    log.close()
    sent = [name.split("-") for name in collector.ids()]
    assert [(int(i), int(n)) for i, n, _ in sent] == [
        (i, n) for i in range(500) for n in range(i * 7 % 23)
    ]
    assert all(text == "x" * (int(i) * 37 % 101) for i, _, text in sent)


def test_what_is_kept_is_bounded_in_bytes_whatever_the_requests_size() -> None:
    collector = FakeCollector()
    bound = 2**20
    log = start(collector, flush_seconds=60, backlog_bytes=bound)
    note(log, "small")
    for i in range(300):
        log.add([asked(str(i), text="x" * 5000)], [SCORES])
    kept = 301 - log.dropped["backlog"]
    assert 0.7 * bound < kept * 5100 < bound
    note(log, *(f"small-{i}" for i in range(20_000)))
    log.close()
    names = collector.ids()
    assert names == [f"small-{i}" for i in range(20_000 - len(names), 20_000)]
    assert 0.7 * bound < len(names) * len(framed("small-10000")) < bound


@given(
    sizes=st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=25), max_size=8),
    limits=st.fixed_dictionaries(
        {
            "backlog_requests": st.integers(1, 40),
            "backlog_bytes": st.integers(1, 5000),
            "batch_requests": st.integers(1, 10),
            "batch_bytes": st.integers(1, 2000),
        }
    ),
    refused=st.sets(st.integers(0, 99), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_each_request_is_delivered_once_or_counted_as_dropped(
    sizes: list[list[int]], limits: dict[str, int], refused: set[int]
) -> None:
    collector = FakeCollector()

    def take(pieces: Body) -> tuple[int, str]:
        body = b"".join(pieces)
        return (422, "bad") if any(b'"bad-%d"' % n in body for n in refused) else collector(pieces)

    log = EventLog(
        "http://collector",
        model="delays",
        version="3",
        limits=LogLimits(**{**QUICK, **limits}),
        post=take,
    )
    count = 0
    for together in sizes:
        numbered = list(enumerate(together, count))
        log.add(
            [
                asked(f"bad-{n}" if n in refused else f"good-{n}", text="x" * size)
                for n, size in numbered
            ],
            [[n / 1000] for n, _ in numbered],
        )
        count += len(together)
    log.close()
    seen = Counter(collector.ids())
    assert set(seen.values()) <= {1}
    assert collector.ids() == sorted(collector.ids(), key=lambda name: int(name.split("-")[1]))
    assert len(seen) + sum(log.dropped.values()) == count
    assert log.dropped["shutdown"] == 0
    assert log.dropped["rejected"] <= len([n for n in refused if n < count])
    predictions = [p for event in collector.events for p in event["data"]["predictions"]]
    assert predictions == [[int(name.split("-")[1]) / 1000] for name in collector.ids()]


def test_one_refused_request_does_not_take_its_batch_with_it() -> None:
    collector = FakeCollector()
    collector.refused = "poison"
    log = start(collector, flush_seconds=0.1)
    note(log, *(str(i) for i in range(20)), "poison", *(str(i) for i in range(20, 40)))
    log.close()
    assert collector.ids() == [str(i) for i in range(40)]
    assert log.dropped["rejected"] == 1


def test_an_answer_never_waits_for_the_collector() -> None:
    held = threading.Event()

    def hang(_: Body) -> tuple[int, str]:
        held.wait(5)
        return 202, ""

    limits = LogLimits(**QUICK)
    log = EventLog("http://collector", model="delays", version="3", limits=limits, post=hang)
    note(log, "first")
    time.sleep(0.05)
    start_time = time.perf_counter()
    note(log, *(str(i) for i in range(2000)))
    assert time.perf_counter() - start_time < 1
    held.set()
    log.close()


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_in_trouble_is_asked_again(status: int) -> None:
    answers = [status, status, 202]
    bodies = []

    def recover(pieces: Body) -> tuple[int, str]:
        bodies.append(b"".join(pieces))
        return answers.pop(0), ""

    limits = LogLimits(**QUICK)
    log = EventLog("http://collector", model="delays", version="3", limits=limits, post=recover)
    note(log, "a")
    until(lambda: not answers)
    log.close()
    assert len(set(bodies)) == 1  # the same event id each time, so that it is stored once
    assert set(log.dropped.values()) == {0}


def test_what_can_not_be_sent_at_the_end_is_counted_and_does_not_hold_up() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector, close_seconds=0.2)
    note(log, "a", "b", "c")
    begun = time.monotonic()
    log.close()
    assert time.monotonic() - begun < 2
    assert log.dropped["shutdown"] == 3
