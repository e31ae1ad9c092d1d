import io
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from kontinual.spec import PREDICTION_EVENT, Loop, load_loop

LOOP = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
Start = Callable[[Path], "Collector"]


class Collector:
    """A collector process, its log lines read as they come."""

    def __init__(self, store: Path, *options: str, loop: Path = LOOP) -> None:
        chosen = ["--loop", str(loop), "--store", str(store), "--port", "0", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kontinual.collector", *chosen],
            stderr=subprocess.PIPE,
            text=True,
        )

    def client(self) -> httpx.Client:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"listens on (http://\S+)", line):
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return httpx.Client(base_url=found[1], timeout=30)
        raise AssertionError("the collector ended before it listened")

    def failure(self) -> str:
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 1
        return errors

    def end(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=30)
        if self.process.stderr:
            self.process.stderr.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Collector]]:
    running: list[Collector] = []

    def make(store: Path, *options: str, loop: Path = LOOP) -> Collector:
        running.append(Collector(store, *options, loop=loop))
        return running[-1]

    yield make
    for collector in running:
        collector.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(LOOP))


def batch(loop: Loop, numbers: range, version: str = "1") -> str:
    values: dict[str, Any] = {
        f.name: f.vocabulary[0] if f.type == "category" else 5 for f in loop.data.features
    }
    return json.dumps(
        [
            {
                "specversion": "1.0",
                "id": f"r{n}",
                "source": f"/models/flights/versions/{version}",
                "type": PREDICTION_EVENT,
                "data": {
                    "version": version,
                    "instances": [
                        {"flight_id": f"f{n}", "departure": "2013-03-01T05:15:00Z", **values}
                    ],
                    "scores": [0.5],
                },
            }
            for n in numbers
        ]
    )


def send(client: httpx.Client, body: str) -> None:
    headers = {"content-type": "application/cloudevents-batch+json"}
    assert client.post("/api/v1/events", content=body, headers=headers).status_code == 202


def test_nothing_acknowledged_is_lost_by_a_kill(
    start: Callable[..., Collector], tmp_path: Path, loop: Loop
) -> None:
    """Rows stream in until the process is killed in the middle of it, several times."""
    store, acknowledged = tmp_path / "store.sqlite", 0
    for _ in range(3):
        collector = start(store)
        with collector.client() as client:
            killer = threading.Timer(0.5, collector.process.kill)
            killer.start()
            while True:
                numbers = range(acknowledged, acknowledged + 20)
                try:
                    send(client, batch(loop, numbers))
                    labels = [{"id": f"f{n}", "label": n % 2} for n in numbers]
                    answer = client.post("/api/v1/labels", json={"labels": labels})
                    assert answer.status_code == 202
                except httpx.TransportError:
                    break
                acknowledged += 20
        collector.end(signal.SIGKILL)
    assert acknowledged > 0
    with start(store).client() as client:
        answer = client.get("/api/v1/examples", params={"after": 0, "limit": 100_000})
        rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    known = {row["flight_id"]: row["late"] for row in rows}
    assert len(known) == len(rows)
    assert all(known[f"f{n}"] == n % 2 for n in range(acknowledged))
    assert [row["_seq"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_stop_lets_go_of_the_store(start: Callable[..., Collector], tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    first = start(store)
    first.client().close()
    first.end(signal.SIGTERM)
    with start(store).client() as client:
        assert client.get("/healthz").json()["loop"] == "flights"


def test_concurrent_senders_lose_and_repeat_nothing(
    start: Callable[..., Collector], tmp_path: Path, loop: Loop
) -> None:
    """Four senders, each sending half of what its neighbour sends too."""
    with start(tmp_path / "store.sqlite").client() as client:

        def work(number: int) -> None:
            for at in range(number * 100, number * 100 + 200, 25):
                send(client, batch(loop, range(at, at + 25)))

        workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        page = client.get("/metrics").text
    assert 'kontinual_events_total{model="flights",result="stored"} 500.0' in page
    assert 'kontinual_events_total{model="flights",result="duplicate"} 300.0' in page
    assert 'kontinual_unlabelled_rows{model="flights"} 500.0' in page
    assert "_created" not in page


def test_canary_and_stable_are_compared_over_http_and_over_a_restart(
    start: Callable[..., Collector], tmp_path: Path, loop: Loop
) -> None:
    """Rows of both versions arrive in turn; the labels of the last ones are not there yet."""
    since = datetime.now(UTC)
    collector = start(tmp_path / "store.sqlite")
    with collector.client() as client:
        for at in range(0, 100, 10):
            send(client, batch(loop, range(at, at + 8), "1"))
            send(client, batch(loop, range(at + 8, at + 10), "2"))
        labels = [{"id": f"f{n}", "label": n % 2} for n in range(80)]
        client.post("/api/v1/labels", json={"labels": labels}).raise_for_status()
    collector.end(signal.SIGTERM)
    query = {"version": ["2", "1"], "since": since.isoformat(), "labelled": 1}
    with start(tmp_path / "store.sqlite").client() as client:
        answer = client.get("/api/v1/outcomes", params=query).raise_for_status().json()
        until = datetime.fromisoformat(answer["until"])
        bounded = {**query, "until": until.isoformat()}
        before = client.get("/api/v1/outcomes", params=bounded).json()
    assert since < until < datetime.now(UTC)
    assert [(o["version"], o["predictions"], o["labelled"]) for o in answer["outcomes"]] == [
        ("2", 16, 16),
        ("1", 64, 64),
    ]
    assert answer["outcomes"][0]["log_loss_sum"] == pytest.approx(16 * math.log(2))
    assert answer["outcomes"][0]["log_loss_squares"] == pytest.approx(16 * math.log(2) ** 2)
    assert before["until"] < answer["until"]
    assert [o["predictions"] for o in before["outcomes"]] == [14, 64]


def test_a_busy_port_is_one_clear_message(start: Callable[..., Collector], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        errors = start(tmp_path / "store.sqlite", "--port", port).failure()
    assert f"--port {port}: can not listen on 127.0.0.1:{port}: Address already in use" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "store.sqlite").exists()


def test_a_bad_loop_is_named_with_its_line(start: Callable[..., Collector], tmp_path: Path) -> None:
    wrong = tmp_path / "loop.yaml"
    wrong.write_text(LOOP.read_text(encoding="utf-8").replace("holdout: 0.2", "holdout: 2"))
    errors = start(tmp_path / "store.sqlite", loop=wrong).failure()
    assert re.search(r"loop\.yaml:\d+: data\.holdout: ", errors)
    assert "Traceback" not in errors


def test_an_unwritable_store_is_one_clear_message(
    start: Callable[..., Collector], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    errors = start(tmp_path / "file" / "store.sqlite").failure()
    assert "the store can not be written" in errors
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == ["file"]
