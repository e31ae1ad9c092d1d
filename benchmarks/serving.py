"""Predictions per second of Kontinual's predictor against KServe's scikit-learn server.

The same fitted model is served four ways, all by KServe 0.21 on this machine:

* stock: what KServe's `sklearnserver` does (it is no package of its own to
  install, so `StockModel` is its model class: joblib, `get_predict_input`,
  `predict_proba`, `get_predict_response`), behind KServe's ModelServer as it
  comes. It gets rows that are encoded already, which spares it that work.
  One OpenMP thread: with more, scikit-learn is slower at single rows.
* stock route: Kontinual's predictor, monitored, by KServe's own V1 route.
* kontinual: the predictor as it is in production: checks, counters, request
  log. The collector is elsewhere, as on a cluster: here something takes what is
  logged and keeps nothing.
* beside the collector: the same, with the real collector on the same processors; each
  row is new to it.

wrk posts single rows over kept connections, one variant after the other in
turn, for several rounds; medians are told, and ratios are taken within a round.
CPU time per request, of the server with its threads, is told beside them: it
hardly moves when something else works on the machine. What monitoring costs is taken from
servers that switch between monitored and not (see `prediction.switching`).
"""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from harness.processes import cpu_seconds, free_port, process, wait_ready
from harness.wrk import need_wrk
from prediction import variants
from prediction.load import ONE_THREAD, agree, load, settled
from prediction.switching import monitoring_cost, serve_switched
from prediction.variants import LOOP, VARIANTS
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def serve(variant: str, folder: Path, port: int, collector: str) -> None:
    """Serve one variant (used by `run`)."""
    variants.serve(variant, folder, port, collector)


@app.command()
def switched(folder: Path, port: int, collector: str, route: str, found: Path) -> None:
    """Serve, monitored or not in turn (used by `run`)."""
    serve_switched(folder, port, collector, found, stock_route=route == "stock route")


@app.command()
def sink(port: int) -> None:
    """A collector that takes everything and keeps nothing (used by `run`)."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                found = head.lower().split(b"content-length:")[1:]
                await reader.readexactly(int(found[0].split(b"\r\n")[0]) if found else 0)
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", port, limit=2**24)
        await server.serve_forever()

    asyncio.run(main())


def _python(arguments: list[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return process(arguments, ONE_THREAD)


class Servers:
    """All variants, running, with a sink and a collector."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._folder = folder
        sink_port, collector_port = free_port(), free_port()
        self.sink = f"http://127.0.0.1:{sink_port}"
        self.collector = f"http://127.0.0.1:{collector_port}"
        children = {self.sink: stack.enter_context(_python([__file__, "sink", str(sink_port)]))}
        store = ["--store", str(folder / "collector.sqlite")]
        options = ["--loop", str(LOOP), "--port", str(collector_port), *store]
        collector = stack.enter_context(_python(["-m", "kontinual.collector", *options]))
        children[f"{self.collector}/healthz"] = collector
        self._collector = psutil.Process(collector.pid)
        self._ports, self._processes = {}, {}
        for variant in VARIANTS:
            port = self._ports[variant] = free_port()
            log = self.collector if variant == "beside the collector" else self.sink
            arguments = [__file__, "serve", variant, str(folder), str(port), log]
            child = stack.enter_context(_python(arguments))
            self._processes[variant] = psutil.Process(child.pid)
            children[f"http://127.0.0.1:{port}/v2/health/ready"] = child
        for url, child in children.items():
            wait_ready(child, url)
        agree(folder, self._ports)

    def load(self, variant: str, seconds: float, connections: int) -> dict[str, float]:
        """Figures of one variant under load, with what its log still had to send."""
        watched = (self._processes[variant], self._collector)
        stored, before = settled(self.collector), [cpu_seconds(p) for p in watched]
        figures = load(self._folder, variant, self._ports[variant], seconds, connections)
        stored = settled(self.collector) - stored
        own, collector = (cpu_seconds(p) - b for p, b in zip(watched, before, strict=True))
        requests = figures.pop("requests")
        if variant == "beside the collector":
            if not requests <= stored <= requests + connections:  # wrk does not count the last ones
                raise RuntimeError(f"{requests} requests were made, but {stored} rows collected")
            figures["collector_cpu_us"] = collector / requests * 1e6
        return {**figures, "cpu_us": own / requests * 1e6}


@app.command()
def run(
    seconds: Annotated[float, typer.Option(min=1, max=10, help="Load per variant, round.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=30, help="Turns of all variants.")] = 5,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Kept open by wrk.")] = 8,
    processes: Annotated[int, typer.Option(min=1, help="Switching servers.")] = 3,
    switching: Annotated[float, typer.Option(min=5, help="Seconds of load of each of these.")] = 60,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path(
        "build/bench/serving.json"
    ),
) -> None:
    """Measure all variants in turn, print a table and write the figures."""
    need_wrk()
    # Ended from outside, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console = Console()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        console.print("training one model for all variants …")
        variants.prepare(folder)
        servers = Servers(stack, folder)
        samples = measure(
            lambda variant, duration: servers.load(variant, duration, connections),
            seconds=seconds,
            rounds=rounds,
        )
        cost = {
            route: switched_cost(folder, servers.sink, route, processes, switching, connections)
            for route in ("kontinual", "stock route")
        }
    report = {**summary(samples), "monitoring": cost}
    report["rounds"] = samples
    report["setting"] = {
        "seconds": seconds,
        "rounds": rounds,
        "connections": connections,
        "processes": processes,
        "switching": switching,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    show(console, report)
    console.print(f"written to {out}")


def switched_cost(
    folder: Path, collector: str, route: str, processes: int, seconds: float, connections: int
) -> dict[str, float]:
    """`monitoring_cost` with a bar of its progress."""

    def start(port: int, found: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return _python([__file__, "switched", str(folder), str(port), collector, route, str(found)])

    with Progress() as progress:
        task = progress.add_task(f"{route}, monitored or not", total=processes)
        return monitoring_cost(
            folder,
            start,
            processes=processes,
            seconds=seconds,
            connections=connections,
            advance=lambda: progress.advance(task),
        )


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


def summary(samples: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians per variant, and the medians of the ratios within rounds."""
    figures = {
        variant: {
            key: statistics.median(s[variant][key] for s in samples) for key in samples[0][variant]
        }
        for variant in VARIANTS
    }

    def ratio(one: str, other: str, key: str) -> float:
        return statistics.median(s[one][key] / s[other][key] for s in samples)

    return {
        "variants": figures,
        "times_stock": ratio("kontinual", "stock", "per_second"),
        "p99_of_stock": ratio("kontinual", "stock", "p99_ms"),
        "collector_cost": 1 - ratio("beside the collector", "kontinual", "per_second"),
        "collector_cpu_us": figures["beside the collector"]["collector_cpu_us"],
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
            f"{figures['cpu_us']:.1f}",
        )
    console.print(table)
    costs = Table("monitoring", "of throughput", "standard error", "µs added", "of a request's µs")
    for route, cost in report["monitoring"].items():
        costs.add_row(
            route,
            f"{cost['cost']:.1%}",
            f"{cost['error']:.1%}",
            f"{cost['added_us']:.2f}",
            f"{cost['bare_us']:.1f}",
        )
    console.print(costs)
    console.print(
        f"{report['times_stock']:.1f} times stock (aim: 2), p99 {report['p99_of_stock']:.2f} of"
        f" stock's\nmonitoring is to cost 3 % at most\nthe collector on the same processors costs"
        f" {report['collector_cost']:.1%} more: {report['collector_cpu_us']:.0f} µs a row"
    )


if __name__ == "__main__":
    if len(sys.argv) == 1 or (sys.argv[1].startswith("--") and sys.argv[1] != "--help"):
        sys.argv.insert(1, "run")
    app()
