import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from kontinual.serving import EventLog, LogLimits
from kontinual.spec import PREDICTION_EVENT, PredictionData

QUICK = {"flush_seconds": 0.01, "retry_seconds": 0.02, "close_seconds": 1.0}


class FakeCollector:
    """Takes batches as the collector does; can be away, or refuse some events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.tries = 0
        self.away = False
        self.refused = ""
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.tries += 1
            if self.away:
                raise httpx.ConnectError("refused")
            batch = json.loads(request.content)
            if self.refused and self.refused in request.content.decode():
                return httpx.Response(422, json={"detail": "not a prediction"})
            assert request.headers["content-type"] == "application/cloudevents-batch+json"
            assert request.url.path == "/api/v1/events"
            self.events += batch
            self.batches.append(len(batch))
            return httpx.Response(202, json={})

    def ids(self) -> list[str]:
        return [e["data"]["instances"][0]["id"] for e in self.events]


def start(collector: FakeCollector, **limits: Any) -> EventLog:
    return EventLog(
        "http://collector/",
        model="delays",
        version="3",
        limits=LogLimits(**{**QUICK, **limits}),
        client=httpx.Client(transport=httpx.MockTransport(collector)),
    )


def note(log: EventLog, *names: str) -> None:
    for name in names:
        log.add(json.dumps([{"id": name}]).encode(), b"[0.25]")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def test_an_answer_becomes_a_cloud_event() -> None:
    collector = FakeCollector()
    log = start(collector)
    note(log, "a", "b")
    log.close()
    first, second = collector.events
    assert first["specversion"] == "1.0"
    assert first["type"] == PREDICTION_EVENT
    assert first["source"] == "/models/delays/versions/3"
    assert first["id"] != second["id"]
    assert first["time"].endswith("Z")
    assert abs(time.time() - _unix(first["time"])) < 60
    data = PredictionData.model_validate(first["data"])
    assert data == PredictionData(version="3", instances=[{"id": "a"}], scores=[0.25])


def test_the_cloudevents_sdk_reads_what_is_sent() -> None:
    from cloudevents.http import from_json

    collector = FakeCollector()
    log = start(collector)
    note(log, "a")
    log.close()
    event = from_json(json.dumps(collector.events[0]))
    assert event["type"] == PREDICTION_EVENT
    assert event.data["scores"] == [0.25]


def test_many_answers_travel_in_few_batches_in_order() -> None:
    collector = FakeCollector()
    log = start(collector, flush_seconds=0.2)
    note(log, *(str(i) for i in range(1200)))
    log.close()
    assert collector.ids() == [str(i) for i in range(1200)]
    assert max(collector.batches) <= 500
    assert len(collector.batches) <= 5


def test_a_batch_is_bounded_in_bytes_too() -> None:
    collector = FakeCollector()
    log = start(collector, batch_bytes=2000)
    log.add(b'[{"id":"large","text":"%s"}]' % (b"x" * 5000), b"[1.0]")
    note(log, *(str(i) for i in range(20)))
    log.close()
    assert collector.ids()[0] == "large"
    assert len(collector.ids()) == 21
    assert max(collector.batches) <= 6


def test_nothing_is_lost_while_the_collector_is_away_for_a_while() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector)
    note(log, *(str(i) for i in range(50)))
    until(lambda: collector.tries >= 3)
    assert collector.events == []
    collector.away = False
    until(lambda: len(collector.events) == 50)
    log.close()
    assert sorted(map(int, collector.ids())) == list(range(50))
    assert set(log.dropped.values()) == {0}


def test_the_oldest_are_given_up_beyond_the_backlog_and_counted() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector, backlog_events=10, batch_events=4)
    note(log, *(str(i) for i in range(100)))
    collector.away = False
    until(lambda: len(collector.events) == 10)
    log.close()
    assert {str(i) for i in range(94, 100)} <= set(collector.ids())
    assert log.dropped == {"backlog": 90, "rejected": 0, "shutdown": 0}


def test_the_backlog_is_bounded_in_bytes() -> None:
    collector = FakeCollector()
    collector.away = True
    log = start(collector, backlog_bytes=5000, batch_events=1)
    note(log, *(str(i) for i in range(100)))
    assert 80 <= log.dropped["backlog"] < 100
    log.close()
    assert sum(log.dropped.values()) == 100


def test_one_refused_event_does_not_take_its_batch_with_it() -> None:
    collector = FakeCollector()
    collector.refused = "poison"
    log = start(collector, flush_seconds=0.1)
    note(log, *(str(i) for i in range(20)), "poison", *(str(i) for i in range(20, 40)))
    log.close()
    assert collector.ids() == [str(i) for i in range(40)]
    assert log.dropped["rejected"] == 1


def test_an_answer_never_waits_for_the_collector() -> None:
    held = threading.Event()

    def hang(request: httpx.Request) -> httpx.Response:
        held.wait(5)
        return httpx.Response(202)

    client = httpx.Client(transport=httpx.MockTransport(hang))
    limits = LogLimits(**QUICK)
    log = EventLog("http://collector", model="delays", version="3", limits=limits, client=client)
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

    def recover(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(answers.pop(0))

    client = httpx.Client(transport=httpx.MockTransport(recover))
    limits = LogLimits(**QUICK)
    log = EventLog("http://collector", model="delays", version="3", limits=limits, client=client)
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


def _unix(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
