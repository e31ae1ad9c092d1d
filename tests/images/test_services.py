"""The long-running services, started from their images as a cluster starts them."""

import io
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.images.conftest import World
from tests.images.containers import READY_SECONDS, Service, free_port, ignore_open_sockets, run

TOKEN = "a-token-of-this-test"

pytestmark = ignore_open_sockets


def volume(source: Path, target: str, mode: str = "ro") -> str:
    return f"--volume={source}:{target}:{mode}"


@pytest.fixture(scope="module")
def collector(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    store, port = tmp_path_factory.mktemp("store"), free_port()
    store.chmod(0o777)
    options = (volume(world.url, "/loop.yaml"), volume(store, "/data", "rw"))
    command = ["python", "-m", "kontinual.collector", "--loop=/loop.yaml", f"--port={port}"]
    with Service("control", *command, "--store=/data/c.db", options=options, port=port) as service:
        service.wait_ready("/healthz")
        yield service


@pytest.fixture(scope="module")
def predictor(
    world: World, inference_service: dict[str, Any], collector: Service
) -> Iterator[Service]:
    """Started as KServe starts it: the package at /mnt/models, the InferenceService's arguments."""
    model, port = inference_service["spec"]["predictor"]["model"], free_port()
    command = ["python", "-m", "kontinual.serving", "--package=/mnt/models", *model["args"]]
    command += [f"--collector={collector.url}", f"--port={port}"]
    options = (volume(world.package(model["storageUri"]), "/mnt/models"),)
    with Service("serve", *command, options=options, port=port) as service:
        service.wait_ready("/v2/health/ready")
        yield service


@pytest.fixture
def flight(world: World) -> dict[str, Any]:
    """One that the model has learnt from, without its label."""
    table = pq.read_table(world.url.with_name("history.parquet"))
    row: dict[str, Any] = table.slice(0, 1).to_pylist()[0]
    del row["late"]
    departure: datetime = row["departure"]
    return {**row, "departure": departure.isoformat()}


def test_predictor_answers_counts_and_is_collected(
    predictor: Service, collector: Service, flight: dict[str, Any]
):
    answer = httpx.post(
        f"{predictor.url}/v1/models/flights:predict", json={"instances": [flight]}, timeout=60
    )
    (score,) = answer.raise_for_status().json()["predictions"]
    assert 0 <= score <= 1
    assert "kontinual_predictions_total" in httpx.get(f"{predictor.url}/metrics").text
    label = {"id": flight["flight_id"], "label": 1}
    labels = httpx.post(f"{collector.url}/api/v1/labels", json={"labels": [label]}, timeout=60)
    labels.raise_for_status()
    assert examples_of(collector)["flight_id"] == [flight["flight_id"]]


def examples_of(collector: Service) -> dict[str, list[Any]]:
    """Rows whose prediction and label have met; waits for the first."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        answer = httpx.get(f"{collector.url}/api/v1/examples", timeout=60).raise_for_status()
        rows = pq.read_table(io.BytesIO(answer.content))
        if rows.num_rows:
            return rows.to_pydict()
        assert time.monotonic() < deadline, collector.log()
        time.sleep(0.2)


def test_predictor_ends_by_itself_when_it_is_asked_to(predictor: Service):
    assert predictor.stop() == 0, predictor.log()


def test_collector_ends_by_itself_when_it_is_asked_to(collector: Service):
    assert collector.stop() == 0, collector.log()


def test_trigger_is_healthy_and_keeps_strangers_out(world: World, tmp_path: Path):
    tmp_path.chmod(0o777)
    port = free_port()
    options = (
        volume(world.url, "/loop.yaml"),
        volume(tmp_path, "/data", "rw"),
        "--env=KONTINUAL_HOME=/data",
        f"--env=KONTINUAL_TOKEN={TOKEN}",
    )
    command = ["python", "-m", "kontinual.trigger", "--loop=/loop.yaml", f"--port={port}"]
    with Service("control", *command, options=options, port=port) as trigger:
        trigger.wait_ready("/healthz")
        assert httpx.post(f"{trigger.url}/api/v1/triggers", json={}).status_code == 401
        assert trigger.stop() == 0, trigger.log()
    assert (tmp_path / "ledger.db").exists()


def test_a_predictor_without_a_package_says_so_and_ends():
    command = ["python", "-m", "kontinual.serving", "--package=/none", "--version=1", "--port=1"]
    with pytest.raises(AssertionError, match="no complete model package"):
        run("serve", *command)
