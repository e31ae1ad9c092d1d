"""Predictions per second of Kontinual's predictor against KServe's scikit-learn server.

The same fitted model is served four ways, all by KServe 0.21 on this machine:

* stock: what KServe's `sklearnserver` does (it is no package of its own to
  install, so `StockModel` below is its model class: joblib, `get_predict_input`,
  `predict_proba`, `get_predict_response`), behind KServe's ModelServer as it
  comes. It gets rows that are encoded already, which spares it that work.
  One OpenMP thread: with more, scikit-learn is slower at single rows.
* stock route: Kontinual's predictor, monitored, by KServe's own V1 route.
* unmonitored: Kontinual's predictor with nothing counted or logged.
* kontinual: the predictor as it is in production: checks, counters, request
  log to a collector.

wrk posts single rows over kept connections, one variant after the other in
turn, for several rounds; medians are told, and ratios are taken within a round.
CPU time per request, of the server with its threads, is told beside them: it
hardly moves when something else works on the machine.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import joblib
import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from kontinual.spec import CategoryFeature, IntegerFeature, Loop, load_loop

VARIANTS = ("stock", "stock route", "unmonitored", "kontinual")
LOOP = Path(__file__).parents[1] / "examples/flights/loop.yaml"
ESTIMATOR = "model.joblib"
BODIES = 200

WRK_SCRIPT = """
local bodies = {}
for line in io.lines("%(bodies)s") do bodies[#bodies + 1] = line end
local i = 0
request = function()
  i = i %% #bodies + 1
  return wrk.format("POST", "%(path)s", {["Content-Type"] = "application/json"}, bodies[i])
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "p50": %%f, "p99": %%f, '
    .. '"errors": %%d}\\n', summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def rows_of(loop: Loop, count: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows as requests have them, drawn from the declared ranges and vocabularies."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Sequence[Any]] = {
        loop.data.id: [f"bench-{i}" for i in range(count)],
        loop.data.time: ["2013-06-01T12:00:00Z"] * count,
    }
    for feature in loop.data.features:
        if isinstance(feature, CategoryFeature):
            columns[feature.name] = rng.choice(feature.vocabulary, count).tolist()
        elif isinstance(feature, IntegerFeature):
            low, high = feature.range
            columns[feature.name] = rng.integers(int(low), int(high), count).tolist()
        else:
            columns[feature.name] = rng.uniform(*feature.range, count).round(2).tolist()
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def prepare(folder: Path) -> None:
    """Train once; write the model package, the joblib file and the requests' bodies."""
    import pandas as pd

    from kontinual.model import Encoder
    from kontinual.training import TrainingSet, fit, train

    loop = load_loop(str(LOOP))
    rows = rows_of(loop, 6000, seed=1)
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(2)
    odds = (frame["hour"] - 12) / 6 + (frame["temp"] - 45) / 40 + rng.normal(0, 1, len(frame))
    frame[loop.data.label.name] = (odds > 0).astype(int)
    data = TrainingSet.of(loop, frame[:5000], frame[5000:], spans=[1])
    chosen: dict[str, Any] = {
        "algorithm": "hist_gradient_boosting",
        "parameters": {"max_iter": 120, "max_leaf_nodes": 31},
        "seed": 1,
    }
    train(loop, data, out=folder / "package", **chosen)
    joblib.dump(fit(loop, data.matrix, data.labels, **chosen), folder / ESTIMATOR)
    encoder = Encoder(loop.data.features)
    with (folder / "named.txt").open("w") as named, (folder / "encoded.txt").open("w") as encoded:
        for row in rows[:BODIES]:
            named.write(json.dumps({"instances": [row]}) + "\n")
            matrix = encoder.encode({name: [value] for name, value in row.items()})
            encoded.write(json.dumps({"instances": matrix.tolist()}) + "\n")


def serve_stock(folder: Path, port: int) -> None:
    """KServe's scikit-learn server."""
    import kserve
    from kserve.utils.utils import get_predict_input, get_predict_response

    class StockModel(kserve.Model):  # type: ignore[misc]
        def load(self) -> bool:
            self.estimator = joblib.load(folder / ESTIMATOR)
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002
            result = self.estimator.predict_proba(get_predict_input(payload))
            return get_predict_response(payload, result, self.name)

    model = StockModel("flights")
    model.load()
    kserve.ModelServer(http_port=port, enable_grpc=False).start([model])


@app.command()
def serve(variant: str, folder: Path, port: int, sink: int) -> None:
    """Serve one variant (used by `run`)."""
    if variant == "stock":
        serve_stock(folder, port)
        return
    import kserve

    from kontinual.serving import Predictor, PredictorServer, build

    package = folder / "package"
    if variant == "unmonitored":
        predictor = Predictor.load(package, version="1")
    else:
        predictor = build(package, version="1", collector=f"http://127.0.0.1:{sink}")
    if variant == "stock route":
        kserve.ModelServer(http_port=port, enable_grpc=False).start([predictor])
    else:
        PredictorServer(predictor, port=port).serve()


@app.command()
def sink(port: int) -> None:
    """A collector that takes everything and keeps nothing (used by `run`)."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", port, limit=2**24)
        await server.serve_forever()

    asyncio.run(main())


@app.command()
def run(
    seconds: Annotated[float, typer.Option(min=1, max=10, help="Load per variant, round.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of all variants.")] = 5,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Kept open by wrk.")] = 8,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path(
        "build/bench/serving.json"
    ),
) -> None:
    """Measure all variants in turn, print a table and write the figures."""
    if shutil.which("wrk") is None:
        typer.echo("error: wrk is needed to make load: apt-get install wrk", err=True)
        raise typer.Exit(1)
    # Ended from outside, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console = Console()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        console.print("training one model for all variants …")
        prepare(folder)
        sink_port = free_port()
        stack.enter_context(process(["sink", str(sink_port)]))
        ports, children, processes = {}, {}, {}
        for variant in VARIANTS:
            ports[variant] = free_port()
            arguments = ["serve", variant, str(folder), str(ports[variant]), str(sink_port)]
            children[variant] = stack.enter_context(process(arguments))
        for variant, child in children.items():
            wait_ready(child, ports[variant])
            processes[variant] = psutil.Process(child.pid)
        agree(folder, ports)

        def load_one(variant: str, duration: float) -> dict[str, float]:
            before = cpu_seconds(processes[variant])
            figures = load(folder, variant, ports[variant], duration, connections)
            used = cpu_seconds(processes[variant]) - before
            return {**figures, "cpu_us": used / figures.pop("requests") * 1e6}

        samples = measure(load_one, seconds=seconds, rounds=rounds)
    report = summary(samples)
    report["setting"] = {"seconds": seconds, "rounds": rounds, "connections": connections}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    show(console, report)
    console.print(f"written to {out}")


def measure(
    load_one: Callable[[str, float], dict[str, float]], *, seconds: float, rounds: int
) -> list[dict[str, dict[str, float]]]:
    """Figures of each variant in each round; the order turns, so that none is always first."""
    samples = []
    with Progress() as progress:
        task = progress.add_task("load", total=(rounds + 1) * len(VARIANTS))
        for round_number in range(-1, rounds):  # the first round only warms up
            turn = max(round_number, 0) % len(VARIANTS)
            figures = {}
            for variant in (*VARIANTS[turn:], *VARIANTS[:turn]):
                duration = 1.0 if round_number < 0 else seconds
                figures[variant] = load_one(variant, duration)
                progress.advance(task)
            if round_number >= 0:
                samples.append(figures)
    return samples


def load(
    folder: Path, variant: str, port: int, seconds: float, connections: int
) -> dict[str, float]:
    """Figures of one variant under load."""
    bodies = folder / ("encoded.txt" if variant == "stock" else "named.txt")
    script = folder / "load.lua"
    script.write_text(WRK_SCRIPT % {"bodies": bodies, "path": "/v1/models/flights:predict"})
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


def summary(samples: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians per variant, and the medians of the ratios within rounds."""
    variants = {
        variant: {
            key: statistics.median(s[variant][key] for s in samples) for key in samples[0][variant]
        }
        for variant in VARIANTS
    }

    def ratio(one: str, other: str, key: str) -> float:
        return statistics.median(s[one][key] / s[other][key] for s in samples)

    return {
        "variants": variants,
        "times_stock": ratio("kontinual", "stock", "per_second"),
        "p99_of_stock": ratio("kontinual", "stock", "p99_ms"),
        "monitoring_cost": 1 - ratio("kontinual", "unmonitored", "per_second"),
        "monitoring_cost_cpu": 1 - ratio("unmonitored", "kontinual", "cpu_us"),
        "rounds": samples,
    }


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("variant", "predictions/s", "p50 ms", "p99 ms", "CPU µs each")
    for variant, figures in report["variants"].items():
        table.add_row(
            variant,
            f"{figures['per_second']:,.0f}",
            f"{figures['p50_ms']:.2f}",
            f"{figures['p99_ms']:.2f}",
            f"{figures['cpu_us']:.0f}",
        )
    console.print(table)
    console.print(
        f"{report['times_stock']:.1f} times stock (aim: 2), p99 {report['p99_of_stock']:.2f} of"
        f" stock's; monitoring costs {report['monitoring_cost']:.1%} of throughput (aim: 3 %),"
        f" {report['monitoring_cost_cpu']:.1%} by CPU time"
    )


def cpu_seconds(server: psutil.Process) -> float:
    """CPU time of a server with all its threads: steadier than time where others work too."""
    times = server.cpu_times()
    return float(times.user + times.system)


def agree(folder: Path, ports: dict[str, int]) -> None:
    """All variants answer the same, or the comparison would be idle."""
    answers = {}
    for variant, port in ports.items():
        name = "encoded.txt" if variant == "stock" else "named.txt"
        body = (folder / name).read_text().splitlines()[0]
        url = f"http://127.0.0.1:{port}/v1/models/flights:predict"
        headers = {"content-type": "application/json"}
        answer = httpx.post(url, content=body, headers=headers).raise_for_status().json()
        answers[variant] = np.ravel(answer["predictions"])[-1]
    if not np.allclose(list(answers.values()), answers["stock"], atol=1e-4):
        raise RuntimeError(f"the variants differ: {answers}")


@contextmanager
def process(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """This file run with other arguments, ended with the context."""
    child = subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
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


def wait_ready(child: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{child.args}: did not become ready")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if len(sys.argv) == 1 or (sys.argv[1].startswith("--") and sys.argv[1] != "--help"):
        sys.argv.insert(1, "run")
    app()
