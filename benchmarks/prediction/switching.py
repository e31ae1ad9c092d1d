"""What monitoring costs under load: one server, switched between monitored and not.

Two processes of one and the same server differ by some percent for as long as they live,
more than what is asked for. So seconds of load are compared in pairs, within a process,
each order as often as the other; and there are several processes.
"""

import signal
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
from harness.processes import cpu_seconds, free_port, wait_ready

from prediction.load import load

__all__ = ["monitoring_cost", "serve_switched"]

VARIANT = "kontinual"  # whose requests are made
FLUSH_SECONDS = 0.7  # more than the request log gathers
ON, OFF = signal.SIGUSR1, signal.SIGUSR2

Server = Callable[[int], AbstractContextManager[Popen[bytes]]]
"""Starts a switched server on a port."""


def serve_switched(folder: Path, port: int, collector: str, *, stock_route: bool) -> None:
    """Serve with all monitoring; SIGUSR2 switches it off, SIGUSR1 on again.

    Args:
        folder: as `prepare` left it.
        port: to listen on.
        collector: where the request log goes.
        stock_route: by KServe's own V1 route?
    """
    import kserve

    from kontinual.serving import NoEventLog, NoTally, PredictorServer, build

    predictor = build(folder / "package", version="1", collector=collector)
    parts = {ON: (predictor.tally, predictor.log), OFF: (NoTally(), NoEventLog())}

    def switch(number: int, _: Any) -> None:
        predictor.tally, predictor.log = parts[signal.Signals(number)]

    for number in parts:
        signal.signal(number, switch)
    try:
        if stock_route:
            kserve.ModelServer(http_port=port, enable_grpc=False).start([predictor])
        else:
            PredictorServer(predictor, port=port).serve()
    finally:
        parts[ON][1].close()


def monitoring_cost(
    folder: Path,
    start: Server,
    *,
    processes: int,
    pairs: int,
    connections: int,
    advance: Callable[[], None],
) -> dict[str, float]:
    """Throughput and CPU time with and without monitoring.

    Args:
        folder: as `prepare` left it.
        start: of a server.
        processes: to start, one after the other.
        pairs: of seconds with and without, in each.
        connections: kept open by wrk.
        advance: called after each pair.

    Returns:
        `cost`, the median share of throughput over all pairs, with the quartiles `low` and `high`;
        `error`, the standard error of the mean; `added_us` and `bare_us`, CPU time of a request.
    """
    ratios, added, bare = [], [], []
    for _ in range(processes):
        port = free_port()
        with start(port) as child:
            wait_ready(child, f"http://127.0.0.1:{port}/v2/health/ready")
            load(folder, VARIANT, port, 1, connections)  # warms up
            for pair in range(pairs):
                found = {}
                for state in (ON, OFF) if pair % 2 else (OFF, ON):
                    child.send_signal(state)
                    found[state] = _second(folder, child, port, connections)
                ratios.append(found[ON][0] / found[OFF][0])
                added.append(found[ON][1] - found[OFF][1])
                bare.append(found[OFF][1])
                advance()
    high, median, low = statistics.quantiles(ratios, n=4)
    return {
        "cost": 1 - median,
        "low": 1 - low,
        "high": 1 - high,
        "error": statistics.stdev(ratios) / len(ratios) ** 0.5,
        "added_us": statistics.median(added),
        "bare_us": statistics.median(bare),
    }


def _second(folder: Path, child: Popen[bytes], port: int, connections: int) -> tuple[float, float]:
    """Requests a second, and CPU microseconds of each, what its log sends later included."""
    server = psutil.Process(child.pid)
    before = cpu_seconds(server)
    figures = load(folder, VARIANT, port, 1, connections)
    time.sleep(FLUSH_SECONDS)
    used = cpu_seconds(server) - before
    return figures["per_second"], used / figures["requests"] * 1e6
