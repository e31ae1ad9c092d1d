"""Real servers for the tests of rollouts: an Envoy, a Prometheus, and how to wait for them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from kontinual.rollout.envoy_config import envoy_arguments, prepare_envoy, write_moved

ROOT = Path(__file__).parents[3]


def find_program(name: str) -> str:
    """A program on the PATH, beside this Python, or among the project's tools."""
    places = [os.environ["PATH"], str(Path(sys.executable).parent), str(ROOT / ".tools/usr/bin")]
    found = shutil.which(name, path=os.pathsep.join(places))
    assert found, f"{name} is missing; run `make setup`"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class RunningEnvoy:
    """An Envoy of its own, on a folder's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (folder.parent / "envoy.log").open("ab")
        self.start()

    def start(self) -> None:
        ports = [int(url.rpartition(":")[2]) for url in (self.admin, self.url)]
        bootstrap = prepare_envoy(
            admin_port=ports[0], listen_port=ports[1], host="127.0.0.1", folder=self.folder
        )
        self._process = subprocess.Popen(
            [find_program("envoy"), *envoy_arguments(bootstrap)],
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(lambda: answers(f"{self.admin}/ready"))

    def stop(self) -> None:
        end(self._process)

    def close(self) -> None:
        self.stop()
        self._log.close()


class RunningPrometheus:
    """A Prometheus that scrapes predictors (by file) and an Envoy, twice a second."""

    def __init__(self, folder: Path, *, envoy_admin: str) -> None:
        folder.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.targets = folder / "predictors.json"
        self.targets.write_text("[]")
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [
                {
                    "job_name": "predictor",
                    "file_sd_configs": [{"files": [str(self.targets)], "refresh_interval": "1s"}],
                },
                {
                    "job_name": "envoy",
                    "metrics_path": "/stats/prometheus",
                    "static_configs": [{"targets": [envoy_admin.removeprefix("http://")]}],
                },
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                find_program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(lambda: answers(f"{self.url}/-/ready"))

    def watch(self, ports: dict[str, int]) -> None:
        targets = [{"targets": [f"127.0.0.1:{port}" for port in ports.values()]}]
        write_moved(self.targets, json.dumps(targets))

    def close(self) -> None:
        end(self._process)
        self._log.close()
