"""Processes under load: starting them, asking them, reading what they used."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from prediction.variants import ID, bodies_of

__all__ = [
    "ONE_THREAD",
    "agree",
    "cpu_seconds",
    "free_port",
    "load",
    "process",
    "settled",
    "wait_ready",
]

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
SETTLE_SECONDS = 1.2  # more than a request log keeps what it has

WRK_SCRIPT = """
local starts, ends = {}, {}
for line in io.lines("%(bodies)s") do
  local at = line:find("%(id)s", 1, true)
  starts[#starts + 1] = at and line:sub(1, at - 1) or line
  ends[#starts] = at and line:sub(at + %(id_length)d) or false
end
local i, n = 0, 0
local headers = {["Content-Type"] = "application/json"}
request = function()
  i, n = i %% #starts + 1, n + 1
  local body = ends[i] and starts[i] .. "%(run)s-" .. n .. ends[i] or starts[i]
  return wrk.format("POST", "%(path)s", headers, body)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "p50": %%f, "p99": %%f, '
    .. '"errors": %%d}\\n', summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def load(
    folder: Path, variant: str, port: int, seconds: float, connections: int
) -> dict[str, float]:
    """Figures of one variant under load."""
    script = folder / "load.lua"
    values = {
        "bodies": bodies_of(folder, variant),
        "id": ID,
        "id_length": len(ID),
        "run": time.time_ns(),  # each request ever made has an id of its own
        "path": "/v1/models/flights:predict",
    }
    script.write_text(WRK_SCRIPT % values)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    )
    figures = json.loads(done.stdout.split("RESULT ")[1])
    if figures["errors"] or not figures["requests"]:
        raise RuntimeError(f"{variant}: {figures['errors']} failed: {done.stdout}")
    return {
        "requests": figures["requests"],
        "per_second": figures["requests"] / figures["microseconds"] * 1e6,
        "p50_ms": figures["p50"] / 1000,
        "p99_ms": figures["p99"] / 1000,
    }


def cpu_seconds(server: psutil.Process) -> float:
    """CPU time of a process with all its threads: steadier than time where others work too."""
    times = server.cpu_times()
    return float(times.user + times.system)


def settled(collector: str) -> int:
    """Rows that the collector has stored, once what was logged has arrived."""
    pattern = re.compile(r'^kontinual_events_total\{.*result="stored"\} (\S+)', re.MULTILINE)
    stored = -1
    while True:
        time.sleep(SETTLE_SECONDS)
        found = pattern.search(httpx.get(f"{collector}/metrics", timeout=60).text)
        before, stored = stored, int(float(found[1])) if found else 0
        if stored == before:
            return stored


def agree(folder: Path, ports: dict[str, int]) -> None:
    """All variants answer the same, or the comparison would be idle."""
    answers = {}
    for variant, port in ports.items():
        body = bodies_of(folder, variant).read_text().splitlines()[0]
        url = f"http://127.0.0.1:{port}/v1/models/flights:predict"
        headers = {"content-type": "application/json"}
        answer = httpx.post(url, content=body, headers=headers).raise_for_status().json()
        answers[variant] = np.ravel(answer["predictions"])[-1]
    if not np.allclose(list(answers.values()), answers["stock"], atol=1e-4):
        raise RuntimeError(f"the variants differ: {answers}")


@contextmanager
def process(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Python with these arguments, ended with the context."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
