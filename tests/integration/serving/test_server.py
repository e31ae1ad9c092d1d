import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kontinual.local.faults import SOUND_VERSIONS
from kontinual.serving import VERSION_HEADER

PREDICT = "/v1/models/flights:predict"
READY = "/v2/health/ready"
Start = Callable[..., Any]
Flight = dict[str, Any]


def serve(
    start: Start, package: Path, *more: str, module: str = "kontinual.serving", **env: str
) -> Any:
    predictor = start(module, "--package", str(package), "--version", "3", *more, **env)
    predictor.wait_ready(READY)
    return predictor


def command(package: Path, *, version: str, port: int) -> list[str]:
    options = ["--package", str(package), "--version", version, "--port", str(port)]
    return [sys.executable, "-m", "kontinual.serving", *options]


def test_a_package_of_the_training_is_served_by_kserve(
    start: Start, flights_package: Path, flight: Flight
) -> None:
    predictor = serve(start, flights_package)
    with httpx.Client(base_url=predictor.url) as client:
        v1 = client.post(PREDICT, json={"instances": [flight]})
        (score,) = v1.json()["predictions"]
        assert 0 < score < 1
        inputs = [
            {
                "name": name,
                "shape": [1],
                "datatype": "BYTES" if isinstance(value, str) else "FP64",
                "data": [value],
            }
            for name, value in flight.items()
        ]
        v2 = client.post("/v2/models/flights/infer", json={"inputs": inputs})
        assert v2.json()["outputs"][0]["data"] == [pytest.approx(score)]
        metadata = client.get("/v2/models/flights").json()
        assert metadata["outputs"] == [{"name": "late", "datatype": "FP32", "shape": [-1]}]
        refused = client.post(PREDICT, json={"instances": [{**flight, "hour": "x"}]})
        unknown = client.post("/v1/models/else:predict", json={"instances": [flight]})
        assert (refused.status_code, unknown.status_code) == (400, 404)
        assert "field `hour`" in refused.json()["error"]
        for answer in (v1, v2, refused, unknown, client.get(READY), client.get("/nowhere")):
            assert answer.headers[VERSION_HEADER] == "3", answer.url
    own = {"model": "flights", "version": "3"}
    assert predictor.metric("kontinual_predictions_total", **own) == 2
    assert predictor.metric("kontinual_requests_total", **own, code="200") == 2
    assert predictor.metric("kontinual_requests_total", **own, code="4xx") == 1
    assert predictor.metric("kontinual_feature_total", **own, feature="hour") == 2
    shares = predictor.metric("kontinual_reference_feature_share", **own, feature="dest")
    assert shares == pytest.approx(1)
    assert predictor.stop() == 0


def test_prometheus_finds_nothing_to_correct_in_the_metrics(
    start: Start, flights_package: Path
) -> None:
    tools = Path(__file__).parents[3] / ".tools/usr/bin/promtool"
    promtool = shutil.which("promtool") or str(tools)
    metrics = httpx.get(serve(start, flights_package).url + "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.content, capture_output=True, timeout=30
    )
    complaints = checked.stderr.decode().splitlines()
    assert [line for line in complaints if line.startswith("kontinual")] == []


def test_odd_but_served_rows_are_all_taken_by_the_collector(
    start: Start, flights_package: Path, flight: Flight, tmp_path: Path
) -> None:
    loop = Path(__file__).parents[3] / "examples/flights/loop.yaml"
    collector = start("kontinual.collector", "--loop", str(loop), "--store", str(tmp_path / "c.db"))
    collector.wait_ready("/healthz")
    predictor = serve(start, flights_package, "--collector", collector.url)
    changes: list[Flight] = [
        {},
        {"hour": 3.0},
        {"hour": 2**53},
        {"temp": None, "humid": -1e30},
        {"origin": "ORD", "carrier": "", "dest": "☃" * 1000},
        {"departure": "2013-05-01T10:00"},
        {"departure": "2013-05-01 10:00:00.123456789+05:30"},
        {"departure": "2199-12-31T23:59:59.9"},
        {"distance": 2**62},
    ]
    rows = [{**flight, **change, "flight_id": f"f-{i}"} for i, change in enumerate(changes)]
    for row in rows:
        answer = httpx.post(predictor.url + PREDICT, json={"instances": [row]})
        assert answer.status_code == 200, answer.text
    assert httpx.post(predictor.url + PREDICT, json={"instances": rows}).status_code == 200
    assert predictor.stop() == 0  # which sends what is left
    assert collector.metric("kontinual_events_total", result="invalid") == 0
    stored = collector.metric("kontinual_unlabelled_rows")
    assert stored == len(rows)  # the second telling of each is a duplicate


def test_answers_go_on_without_a_collector_and_a_stop_is_not_held_up(
    start: Start, flights_package: Path, flight: Flight
) -> None:
    options = ("--collector", "http://127.0.0.1:9", "--backlog-requests", "5")
    predictor = serve(start, flights_package, *options)
    with httpx.Client(base_url=predictor.url) as client:
        for _ in range(20):
            assert client.post(PREDICT, json={"instances": [flight]}).status_code == 200
    dropped = predictor.metric("kontinual_log_dropped_total", reason="backlog")
    assert dropped in (15, 16)  # there is room for one under way
    begun = time.monotonic()
    assert predictor.stop() == 0
    assert time.monotonic() - begun < 8


def test_a_challenger_of_the_faults_answers_one_minus_p(
    start: Start, flights_package: Path, flight: Flight
) -> None:
    scores = []
    for sound in ("3", "1,2"):
        predictor = serve(
            start, flights_package, module="kontinual.local.faults", **{SOUND_VERSIONS: sound}
        )
        answer = httpx.post(predictor.url + PREDICT, json={"instances": [flight]})
        scores.append(answer.json()["predictions"][0])
        predictor.stop()
    assert scores[1] == pytest.approx(1 - scores[0])
    assert scores[1] != pytest.approx(scores[0])


def test_a_folder_without_a_package_is_told_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        command(tmp_path, version="1", port=18999),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {tmp_path}: no complete model package")
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_an_error_not_a_silence(
    start: Start, flights_package: Path
) -> None:
    first = serve(start, flights_package)
    second = subprocess.run(
        command(flights_package, version="4", port=first.port),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode != 0
    assert "address already in use" in second.stderr + second.stdout
