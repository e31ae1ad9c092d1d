"""What a span of millions of rows costs, from ingestion to training: seconds and peak memory.

Flights are drawn with replacement into a history of many parquet files, in no
order of time: a first span of a fifth as many rows, and a second of all of them. The
history is ingested, then both spans are validated as the pipeline does it, and the second
one's rows are encoded as each training and each trial does it. Each step is a process of the
environment that it has in the pipeline, and may not hold more memory than the limit: the
kernel refuses it more (RLIMIT_DATA), and its peak (VmHWM) is reported.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from kontinual.settings import Settings

FLIGHTS = Path("examples/flights/loop.yaml")
GIB = 1024**3
FILE_ROWS = 250_000
STEP = """
import json, re, sys, time
from pathlib import Path
from kontinual.lake import Lake, ingest_history
from kontinual.spec import load_loop

step, url, out = sys.argv[1:]
loop = load_loop(url)
lake = Lake(str(Path(out) / "lake"), loop)
if step == "encode":
    from kontinual.training import prepare
elif step != "ingest":
    import tensorflow_data_validation
    from kontinual.validation import validate_span
began = time.monotonic()
facts = {}
if step == "ingest":
    facts["spans"] = [s.rows for s in ingest_history(loop, lake, base=str(Path(url).parent))]
elif step == "encode":
    matrix = prepare(loop, lake, 2, seed=0).matrix
    facts |= {"rows": len(matrix), "matrix_gib": matrix.nbytes / 1024**3}
else:
    verdict = validate_span(loop, lake, int(step), report=Path(out) / f"{step}.html")
    facts |= {"rows": lake.span(int(step)).rows, "accepted": verdict.accepted}
    facts["reasons"] = verdict.reasons
facts["seconds"] = time.monotonic() - began
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
facts["peak_gib"] = int(peak[1]) / 1024**2
print(json.dumps(facts))
"""


def make_history(folder: Path, rows: int) -> None:
    """Write January's and February's flights, drawn again and again, as files in no order."""
    flown = folder / "flights.parquet"
    prepare = [sys.executable, str(FLIGHTS.with_name("prepare.py")), str(flown)]
    subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
    frame = pd.read_parquet(flown)
    border, end = (pd.Timestamp(day, tz="UTC") for day in ("2013-01-31", "2013-03-01"))
    inside = frame["departure"].between(border, end, inclusive="left")
    months = [frame[frame["departure"] < border], frame[inside]]
    rng = np.random.default_rng(0)
    of = rng.permutation(np.repeat([0, 1], [rows // 5, rows]))
    for number, begin in enumerate(range(0, len(of), FILE_ROWS)):
        counts = np.bincount(of[begin : begin + FILE_ROWS], minlength=2)
        drawn = pd.concat(
            m.sample(n, replace=True, random_state=rng) for m, n in zip(months, counts, strict=True)
        ).sample(frac=1, random_state=rng)
        drawn["flight_id"] = [f"f{begin + i}" for i in range(len(drawn))]
        path = folder / f"history-{number:03d}.parquet"
        drawn.to_parquet(path, index=False, coerce_timestamps="us")


def write_loop(folder: Path, rows: int) -> Path:
    """The flights loop on that history, its large spans described by Beam's DirectRunner."""
    tree = YAML(typ="safe").load(FLIGHTS)
    tree["data"] |= {"history": {"table": "history-*.parquet"}}
    tree["validation"]["beam"] = {"runner": "DirectRunner", "min_rows": max(1, rows // 5 - 1)}
    path = folder / "loop.yaml"
    with path.open("w") as file:
        YAML().dump(tree, file)
    return path


def run_step(step: str, loop: Path, out: Path, limit: int) -> dict[str, Any]:
    """One step in a process of its own that the kernel gives no more memory than the limit."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    began = time.monotonic()
    python = sys.executable if step == "encode" else str(Settings().data_python)
    done = subprocess.run(
        [python, "-c", STEP, step, str(loop), str(out)],
        preexec_fn=limited,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{step}: failed within {limit / GIB:g} GiB\n{done.stderr[-3000:]}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"step": step, **facts, "with_imports": time.monotonic() - began}


def main() -> None:
    """Measure, and fail where a step needs more than the limit or a span is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the second span")
    parser.add_argument("--limit-gib", type=float, default=4.0, help="memory of each process")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kontinual-scale-") as name:
        folder = Path(name)
        make_history(folder, arguments.rows)
        loop = write_loop(folder, arguments.rows)
        found = []
        for step in ("ingest", "1", "2", "encode"):
            facts = run_step(step, loop, folder, int(arguments.limit_gib * GIB))
            print(f"{step}: {json.dumps(facts)}")
            found.append(facts)
    out = Path("build/bench/scale.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2))
    refused = [f["step"] for f in found if not f.get("accepted", True)]
    if refused or any(f["peak_gib"] > arguments.limit_gib for f in found):
        sys.exit(f"refused spans: {refused}, or over {arguments.limit_gib} GiB")


if __name__ == "__main__":
    main()
