"""Asking a collector, the real application or one in trouble."""

import math
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from kontinual.collector import Prediction, Store, create_app
from kontinual.errors import MetricsUnavailable
from kontinual.rollout import CollectorOutcomes
from kontinual.rollout.sequential import Sample
from kontinual.spec import LabelRecord, Loop

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, loop: Loop, clock: Clock) -> Store:
    return Store(tmp_path / "store.sqlite", loop=loop.name, clock=clock)


@pytest.fixture
def outcomes(loop: Loop, store: Store) -> Iterator[CollectorOutcomes]:
    with TestClient(create_app(loop, store)) as client:
        yield CollectorOutcomes("http://collector/", transport=client._transport)


def answer(store: Store, version: str, *scores: float) -> list[str]:
    """Predictions of now; their ids."""
    made = [
        Prediction(f"{version}-{store.counts.unlabelled}-{n}", BEGAN, version, score, {})
        for n, score in enumerate(scores)
    ]
    store.add(made)
    return [row.id for row in made]


def test_both_versions_losses_are_those_of_the_time_asked_for(
    outcomes: CollectorOutcomes, store: Store, clock: Clock
) -> None:
    early = answer(store, "1", 0.3)
    clock.now += timedelta(minutes=1)
    since = clock.now
    ids = early + answer(store, "1", 0.5, 0.5) + answer(store, "2", 0.001)
    store.label([LabelRecord(id=name, label=1) for name in ids])
    found = outcomes.read(["1", "2"], since=since, until=since + timedelta(minutes=1))
    worst = -math.log(0.01)  # scores are clipped
    assert found["1"] == Sample(2, pytest.approx(2 * math.log(2)), pytest.approx(2 * 0.480453))
    assert found["2"] == Sample(1, pytest.approx(worst), pytest.approx(worst**2))


def test_what_has_no_labels_yet_has_no_losses(outcomes: CollectorOutcomes, store: Store) -> None:
    answer(store, "1", 0.5)
    found = outcomes.read(["1", "2"], since=BEGAN, until=BEGAN + timedelta(minutes=1))
    assert found == {"1": Sample(), "2": Sample()}


def refusing(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (refusing, "connection refused"),
        (lambda _: httpx.Response(503, json={"detail": "disk full"}), "503"),
        (lambda _: httpx.Response(410, json={"detail": "no longer kept"}), "no longer kept"),
        (lambda _: httpx.Response(200, text="<html>"), "Invalid JSON"),
        (lambda _: httpx.Response(200, json={"outcomes": [{"version": "1"}]}), "labelled"),
    ],
)
def test_a_collector_that_does_not_tell_is_not_one_without_labels(
    handler: Callable[[httpx.Request], httpx.Response], said: str
) -> None:
    outcomes = CollectorOutcomes("http://collector", transport=httpx.MockTransport(handler))
    with pytest.raises(MetricsUnavailable, match=f"(?s)the collector could not be asked.*{said}"):
        outcomes.read(["1"], since=BEGAN, until=BEGAN + timedelta(minutes=1))


def test_a_proxy_for_the_world_outside_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"until": null, "outcomes": []}')

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 10
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        outcomes = CollectorOutcomes(f"http://127.0.0.1:{server.server_port}")
        assert outcomes.read(["1"], since=BEGAN, until=BEGAN + timedelta(hours=1)) == {}
        thread.join(10)
