"""Requests for predictions: how many a second, and what became of them."""

import re
import time
from pathlib import Path

import httpx
import numpy as np
from harness.wrk import wrk

from prediction.variants import ID, bodies_of

__all__ = ["ONE_THREAD", "agree", "load", "settled"]

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
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
"""


def load(
    folder: Path, variant: str, port: int, seconds: float, connections: int
) -> dict[str, float]:
    """Figures of one variant under load."""
    values = {
        "bodies": bodies_of(folder, variant),
        "id": ID,
        "id_length": len(ID),
        "run": time.time_ns(),  # each request ever made has an id of its own
        "path": "/v1/models/flights:predict",
    }
    url, script = f"http://127.0.0.1:{port}", folder / "load.lua"
    return wrk(url, script, WRK_SCRIPT % values, seconds=seconds, connections=connections)


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
