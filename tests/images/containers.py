"""Containers as a cluster runs them: read-only, no capabilities, the image's own user."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from components.images import image

# Kubernetes' restricted profile; host networking, as some build machines have no other.
RESTRICTED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
]
READY_SECONDS = 180

# kfp's DockerRunner leaves the sockets open that it read logs from.
ignore_open_sockets = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


def podman(*arguments: str) -> str:
    """What podman prints; an AssertionError with its words when it fails."""
    ended = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"podman {' '.join(arguments)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def inspect(environment: str) -> dict[str, Any]:
    """The configuration of an image."""
    found: list[dict[str, Any]] = json.loads(podman("image", "inspect", image(environment)))
    return found[0]


def run(environment: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """The output of a command in a new container of an environment."""
    return podman("run", "--rm", *RESTRICTED, *options, image(environment), *command)


def run_python(environment: str, source: str) -> Any:
    """What a program prints as JSON."""
    return json.loads(run(environment, "python", "-c", source))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """A service in a container, ended with the block."""

    def __init__(
        self, environment: str, *command: str, options: tuple[str, ...] = (), port: int
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        started = podman("run", "--detach", *RESTRICTED, *options, image(environment), *command)
        self.id = started.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        podman("rm", "--force", "--time=0", self.id)

    def wait_ready(self, path: str) -> None:
        """Wait until a health endpoint answers 200; a service that ends meanwhile fails."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                if httpx.get(self.url + path, timeout=10).is_success:
                    return
            except httpx.HTTPError:
                pass
            assert self.is_running(), self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def is_running(self) -> bool:
        return podman("inspect", "--format={{.State.Running}}", self.id).strip() == "true"

    def log(self) -> str:
        ended = subprocess.run(
            ["podman", "logs", self.id],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return ended.stdout

    def stop(self) -> int:
        """Ask it to end, as Kubernetes does; its exit code, 137 when it had to be killed."""
        podman("stop", "--time=30", self.id)
        return int(podman("inspect", "--format={{.State.ExitCode}}", self.id))


def uv() -> Path:
    """A static program, so it runs in any container that it is mounted into."""
    found = shutil.which("uv", path=f"{Path(__file__).parents[2] / '.venv/bin'}")
    assert found is not None
    return Path(found)
