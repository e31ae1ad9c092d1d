"""What the pipeline costs on top of its steps: kfp.local against a plain script.

Both do the same first run of the flights loop against a stack of their own:
ingest, validate, tune, train, evaluate, roll out, record. The plain script
calls the steps one after another, those of the data environment in one process
there, and its imports do not count; so the difference is all that the pipeline
adds: kfp, a process per step, and each step's imports, TFDV's included.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kontinual.local.demo.options import DemoOptions
from kontinual.local.demo.run import demo_home
from kontinual.local.stack import Stack
from kontinual.settings import Settings

DATA_STEPS = """
import sys, time
from pathlib import Path
import tensorflow_data_validation
from kontinual.steps.ingest import ingest
from kontinual.steps.validate import validate
began = time.monotonic()
span = ingest(sys.argv[1], "bench").number
validate(sys.argv[1], "bench", span, report=Path(sys.argv[2]) / "validate.html")
print(span, time.monotonic() - began)
"""


def pipeline_seconds(url: Path, settings: Settings) -> float:
    """The compiled pipeline's function under kfp.local, as the trigger starts it."""
    began = time.monotonic()
    command = [*shlex.split(settings.run_command), "--loop", str(url), "--run-id", "bench"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def plain_seconds(url: Path, settings: Settings, out: Path) -> float:
    """The same steps, called."""
    from kontinual.steps.admit import admit
    from kontinual.steps.evaluate import evaluate
    from kontinual.steps.record import record
    from kontinual.steps.rollout import rollout
    from kontinual.steps.train import train
    from kontinual.steps.tune import tune

    loop = str(url)
    began = time.monotonic()
    admit(loop, "bench", "manual")
    so_far = time.monotonic() - began
    answer = subprocess.run(
        [str(settings.data_python), "-c", DATA_STEPS, loop, str(out)],
        check=True,
        capture_output=True,
        text=True,
    )
    span, data_seconds = answer.stdout.split()[-2:]
    began = time.monotonic()
    best = tune(loop, "bench", int(span), seed=0, report=out / "tune.html")
    version, _ = train(
        loop,
        "bench",
        int(span),
        algorithm=best.algorithm,
        parameters=best.parameters,
        seed=0,
        out=out / "model",
    )
    evaluate(loop, "bench", int(span), version=version, seed=0, report=out / "evaluate.html")
    rollout(loop, "bench", version=version, report=out / "rollout.md")
    record(loop, "bench", "manual")
    return so_far + float(data_seconds) + time.monotonic() - began


def one_round(out: Path) -> dict[str, float]:
    """Both once, each in a home and with a stack of its own."""
    seconds = {}
    for name in ("plain", "pipeline"):
        url, settings = demo_home(DemoOptions(out=out / name))
        with Stack(settings, url, owned=True):
            if name == "plain":
                seconds[name] = plain_seconds(url, settings, out / name)
            else:
                seconds[name] = pipeline_seconds(url, settings)
        for variable in [v for v in os.environ if v.startswith("KONTINUAL_")]:
            del os.environ[variable]
    return seconds | {"overhead": seconds["pipeline"] - seconds["plain"]}


def main() -> None:
    """Measure both in turn, print the medians, keep all in build/bench/pipeline.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = [one_round(args.out / f"round-{number}") for number in range(args.rounds)]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "pipeline.json").write_text(json.dumps(rounds, indent=2))
    for name in rounds[0]:
        values = [one[name] for one in rounds]
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(f"{name:10} {statistics.median(values):6.1f} s   ({spread})", file=sys.stdout)


if __name__ == "__main__":
    main()
