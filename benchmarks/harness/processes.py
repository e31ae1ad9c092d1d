"""Servers under load as processes: starting them, and reading what they used."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

__all__ = ["cpu_seconds", "free_port", "process", "wait_idle", "wait_ready"]

IDLE_PERCENT = 15.0


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str], *, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A running program, ended with the context.

    Args:
        command: the program and its arguments; an option or a script is Python's.
        environment: variables beside those of this process.
        log: file for what it says; nowhere when left out.
    """
    python = [sys.executable] if command[0].startswith("-") or command[0].endswith(".py") else []
    with (log or Path(os.devnull)).open("ab") as sink:
        child = subprocess.Popen(
            [*python, *command], env=os.environ | environment, stdout=sink, stderr=sink
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_ready(child: subprocess.Popen[bytes], url: str) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{child.args!r}: did not become ready")


def wait_idle(child: subprocess.Popen[bytes]) -> None:
    """Wait until a server that answers has nothing left to do: what it loads later, it has."""
    server = psutil.Process(child.pid)
    deadline = time.monotonic() + 120
    while server.cpu_percent(interval=1) > IDLE_PERCENT:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{child.args!r}: is busy without any load")


def cpu_seconds(server: psutil.Process) -> float:
    """CPU time of a process with all its threads: steadier than time where others work too."""
    times = server.cpu_times()
    return float(times.user + times.system)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
