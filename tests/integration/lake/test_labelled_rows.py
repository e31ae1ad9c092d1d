"""From predictions and late labels at a real collector to spans of the lake."""

import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from kontinual.errors import LakeError
from kontinual.lake import Lake, ingest_labelled
from kontinual.spec import PREDICTION_EVENT, load_loop, utc_text

LOOP = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
START = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture
def serve(tmp_path):
    """Starts the collector on a store; returns its address. All are ended with the test."""
    running = []

    def start(store: str = "collector.db", loop: Path = LOOP) -> tuple[subprocess.Popen, str]:
        options = ["--loop", str(loop), "--port", "0", "--store", str(tmp_path / store)]
        log = tmp_path / f"{store}.{len(running)}.log"
        with log.open("w") as stderr:
            command = [sys.executable, "-m", "kontinual.collector", *options]
            process = subprocess.Popen(command, stderr=stderr)
        running.append(process)
        deadline = time.monotonic() + 60
        while not (found := re.search(r"listens on (http://\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the collector did not come up"
            time.sleep(0.05)
        return process, found[1]

    yield start
    for process in running:
        process.kill()
        process.wait(30)


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"), load_loop(str(LOOP)))


def _flight(number: int) -> dict:
    values = {"hour": 5, "day_of_week": 4, "distance": 1400.0, "temp": None}
    weather = {"dewp": 20.0, "humid": 50.0, "wind_dir": 10.0, "wind_speed": 5.0, "precip": 0.0}
    rest = {"pressure": 1010.0, "visib": 10.0, "origin": "EWR", "carrier": "UA", "dest": "IAH"}
    return {
        "flight_id": f"f{number}",
        "departure": utc_text(START + timedelta(minutes=number)),
        **values, **weather, **rest,
    }  # fmt: skip


def _live(address: str, first: int, count: int, *, version: str = "1") -> None:
    """Predictions are logged, and their labels come."""
    flights = [_flight(i) for i in range(first, first + count)]
    event = {
        "specversion": "1.0",
        "type": PREDICTION_EVENT,
        "source": f"/models/flights/versions/{version}",
        "id": f"r{first}",
        "time": utc_text(START),
        "data": {"version": version, "instances": flights, "scores": [0.25] * count},
    }
    labels = [{"id": f["flight_id"], "label": i % 2} for i, f in enumerate(flights)]
    with httpx.Client(base_url=address) as client:
        client.post(
            "/api/v1/events",
            json=[event],
            headers={"content-type": "application/cloudevents-batch+json"},
        ).raise_for_status()
        client.post("/api/v1/labels", json={"labels": labels}).raise_for_status()


def test_labelled_rows_become_spans_exactly_once(serve, lake):
    _, address = serve()
    _live(address, 0, 120)
    first = ingest_labelled(lake.loop, lake, collector=address, page_rows=50)
    _live(address, 120, 30, version="2")
    second = ingest_labelled(lake.loop, lake, collector=address)

    assert (first.rows, first.cursor.reached, second.rows, second.cursor.reached) == (
        *(120, 120),
        *(30, 150),
    )
    assert first.cursor.store == second.cursor.store
    assert ingest_labelled(lake.loop, lake, collector=address) is None
    frame = lake.read(1)
    assert frame["flight_id"].tolist() == [f"f{i}" for i in range(120)]
    assert frame["late"].tolist() == [0, 1] * 60
    assert frame["temp"].isna().all()
    assert set(lake.read(2)["_version"]) == {"2"}
    assert first.schema_fingerprint == second.schema_fingerprint


def test_a_collector_killed_in_between_loses_and_repeats_nothing(serve, lake):
    process, address = serve()
    _live(address, 0, 40)
    ingest_labelled(lake.loop, lake, collector=address)
    _live(address, 40, 40)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    with pytest.raises(LakeError, match="the collector can not be reached"):
        ingest_labelled(lake.loop, lake, collector=address, attempts=1)

    _, address = serve()

    assert ingest_labelled(lake.loop, lake, collector=address).rows == 40
    ids = [i for n in (1, 2) for i in lake.read(n)["flight_id"]]
    assert sorted(ids) == sorted(f"f{i}" for i in range(80))


def test_an_ingestion_killed_after_its_span_is_not_repeated(serve, lake, tmp_path):
    _, address = serve()
    _live(address, 0, 60)
    code = f"""
import os, signal
from kontinual.lake import Lake, labelled
from kontinual.spec import load_loop
labelled._Collector.taken = lambda self, cursor: os.kill(os.getpid(), signal.SIGKILL)
loop = load_loop({str(LOOP)!r})
labelled.ingest_labelled(loop, Lake({str(tmp_path / "lake")!r}, loop), collector={address!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert [s.rows for s in lake.spans()] == [60]
    assert ingest_labelled(lake.loop, lake, collector=address) is None
    metrics = httpx.get(f"{address}/metrics").text
    assert re.search(r"^kontinual_matured_rows\S* 0(\.0)?$", metrics, re.MULTILINE)


def test_a_collector_that_lost_its_store_is_read_from_the_start(serve, lake):
    """Its numbers start anew; by counts alone its first rows would be skipped for ever."""
    _, address = serve()
    _live(address, 0, 40)
    ingest_labelled(lake.loop, lake, collector=address)

    _, fresh = serve("fresh.db")
    _live(fresh, 100, 50)
    ingest_labelled(lake.loop, lake, collector=fresh)

    assert [s.rows for s in lake.spans()] == [40, 50]
    assert len({s.cursor.store for s in lake.spans()}) == 2


def test_a_lake_that_lost_its_spans_is_told_of_rows_that_are_gone(serve, lake, tmp_path):
    declared = yaml.safe_load(LOOP.read_text())
    declared["data"]["retention"] = "0s"
    brief = tmp_path / "brief.yaml"
    brief.write_text(yaml.safe_dump(declared))
    _, address = serve(loop=brief)
    _live(address, 0, 40)
    ingest_labelled(lake.loop, lake, collector=address)
    _wait_until(lambda: httpx.get(f"{address}/api/v1/store").json()["pruned"] == 40)

    empty = Lake(str(tmp_path / "empty"), lake.loop)
    with pytest.raises(LakeError, match=r"answered 410: .*rows up to 40 .* no longer kept"):
        ingest_labelled(lake.loop, empty, collector=address)
    assert empty.spans() == []
    assert ingest_labelled(lake.loop, lake, collector=address) is None


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.05)
