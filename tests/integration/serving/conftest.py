"""A package of the flights' loop, and real processes that serve it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from kontinual.spec import CategoryFeature, Loop, load_loop
from kontinual.training import TrainingSet, train

LOOP = Path(__file__).parents[3] / "examples/flights/loop.yaml"


class Process:
    """A service of ours in a process of its own."""

    def __init__(self, module: str, log: Path, *arguments: str, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as out:
            self.child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--port", str(self.port)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    def wait_ready(self, path: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            assert self.child.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                if httpx.get(self.url + path).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(20)
        finally:
            self.child.kill()

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the series with this name and these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = httpx.get(self.url + "/metrics").raise_for_status().text.splitlines()
        found = [
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith(name) and line[len(name)] in "{ " and all(w in line for w in wanted)
        ]
        assert found, f"no series {name} {labels}"
        return sum(found)


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes that end with the test."""
    started: list[Process] = []

    def begin(module: str, *arguments: str, **environment: str) -> Process:
        log = tmp_path / f"{len(started)}.log"
        started.append(Process(module, log, *arguments, **environment))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(LOOP))


@pytest.fixture(scope="session")
def flights_package(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as the training station makes it, of rows drawn at random."""
    rng = np.random.default_rng(7)
    columns = [
        rng.integers(0, len(f.vocabulary), 600)
        if isinstance(f, CategoryFeature)
        else rng.uniform(*f.range, 600)
        for f in loop.data.features
    ]
    matrix = np.column_stack(columns).astype(np.float32)
    labels = (matrix[:, 0] + rng.normal(0, 6, 600) > 12).astype(np.int64)
    data = TrainingSet(
        matrix=matrix[:450],
        labels=labels[:450],
        holdout_matrix=matrix[450:],
        holdout_labels=labels[450:],
        spans=[1],
    )
    folder = tmp_path_factory.mktemp("flights")
    train(loop, data, algorithm="logistic_regression", parameters={}, seed=1, out=folder)
    return folder


@pytest.fixture
def flight(loop: Loop) -> dict[str, Any]:
    """A flight with nothing odd about it."""
    row: dict[str, Any] = {"flight_id": "f-1", "departure": "2013-05-01T10:00:00Z"}
    for feature in loop.data.features:
        if isinstance(feature, CategoryFeature):
            row[feature.name] = feature.vocabulary[0]
        else:
            row[feature.name] = int(sum(feature.range) // 2)
    return row
