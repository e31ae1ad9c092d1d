"""Servers of this machine that the cluster's pods reach: what Kubeflow has besides us.

They listen where the pods see this machine, `KONTINUAL_TEST_HOST`; the node of `up.sh`
is this machine itself.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

__all__ = ["HOST", "ROOT", "cache", "program", "server", "wait_until"]

ROOT = Path(__file__).parents[2]
HOST = os.environ.get("KONTINUAL_TEST_HOST", "10.244.77.1")
READY_SECONDS = 180
END_SECONDS = 30
T = TypeVar("T")


def cache() -> Path:
    """Where `build.sh` keeps what is made once."""
    default = Path.home() / ".cache/kontinual/cluster"
    return Path(os.environ.get("KONTINUAL_CLUSTER_CACHE", default))


def program(name: str) -> str:
    """A program beside this Python, among the project's tools, or on the PATH."""
    places = [str(Path(sys.executable).parent), str(ROOT / ".tools/usr/bin"), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(places))
    assert found, f"{name} is missing; run `make setup`"
    return found


def wait_until(
    look: Callable[[], T], what: str, *, seconds: float = READY_SECONDS, pause: float = 0.2
) -> T:
    """The first true answer; an AssertionError tells what was waited for, and the last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"{what} after {seconds:.0f} s: {answer!r}"
        time.sleep(pause)
    return answer


@contextmanager
def server(
    command: list[str],
    *,
    log: Path,
    ready: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """A server for as long as the block lasts; it begins when `ready`, a URL, answers 200."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )

    def answers() -> bool:
        assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-3000:]}"
        try:
            return httpx.get(ready, timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    try:
        wait_until(answers, f"{ready} does not answer")
        yield
    finally:
        _end(process)


def _end(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
