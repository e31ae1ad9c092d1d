"""What monitoring costs under load: one server that switches between monitored and not.

Two processes of one and the same server differ by some percent for as long as they live, and
so do two seconds of one process; both more than what is asked for. So a server under
steady load switches itself every few thousand requests, a fraction of a second, and
neighbours are compared, each order as often as the other.

What the request log sends later falls on either kind of block alike. It is measured on its
own, as the CPU time of its thread, and added in full, though a part of it runs beside the
answers.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
from harness.processes import free_port, wait_ready
from scipy import stats

from prediction.load import load

__all__ = ["monitoring_cost", "serve_switched"]

VARIANT = "kontinual"  # whose requests are made
BLOCK = 4096  # requests between two switches: as many as wait to be counted at once
TRIMMED = 0.1  # of the differences, at each end: blocks that something else fell into

Server = Callable[[int, Path], AbstractContextManager[Popen[bytes]]]
"""Starts a switched server on a port, which writes what it found to a file when it ends."""


class Switch:
    """Switches a predictor's monitoring off and on.

    Attributes:
        blocks: for each whether it was monitored, and its microseconds a request.
        sending_seconds: CPU time of the request log's thread, up to the last block.
    """

    def __init__(self, predictor: Any) -> None:
        from kontinual.serving import NoJournal

        self._predictor, self._answer = predictor, predictor.answer
        self._journals = {True: predictor.journal, False: NoJournal()}
        (sender,) = (t.ident for t in threading.enumerate() if t.name == "event-log")
        self._sender_clock = time.pthread_getcpuclockid(sender)
        self._left, self._begun = BLOCK, 0.0
        self.blocks: list[tuple[bool, float]] = []
        self.sending_seconds = 0.0
        predictor.answer = self._count
        self._set(monitored=True)

    def _count(self, instances: object) -> Any:
        answer = self._answer(instances)
        self._left -= 1
        if not self._left:
            if self._monitored:
                self._predictor.journal.settle()  # what waits belongs to this block
            now = time.perf_counter()
            if self._begun:
                self.blocks.append((self._monitored, (now - self._begun) / BLOCK * 1e6))
            self.sending_seconds = time.clock_gettime(self._sender_clock)
            self._left = BLOCK
            # on, off, off, on, …: a drift of the machine's pace meets both alike.
            self._set(monitored=len(self.blocks) % 4 in {0, 3})
            self._begun = time.perf_counter()
        return answer

    def _set(self, *, monitored: bool) -> None:
        self._monitored = monitored
        self._predictor.journal = self._journals[monitored]


def serve_switched(
    folder: Path, port: int, collector: str, found: Path, *, stock_route: bool
) -> None:
    """Serve, switching, until ended.

    Args:
        folder: as `prepare` left it.
        port: to listen on.
        collector: where the request log goes.
        found: file for `blocks`, pairs of whether it was monitored and its microseconds a request,
            and `sending_us`, CPU time of the log's thread for each logged request.
        stock_route: by KServe's own V1 route?
    """
    import kserve

    from kontinual.serving import PredictorServer, build

    predictor = build(folder / "package", version="1", collector=collector)
    journal, switch = predictor.journal, Switch(predictor)
    try:
        if stock_route:
            kserve.ModelServer(http_port=port, enable_grpc=False).start([predictor])
        else:
            PredictorServer(predictor, port=port).serve()
    finally:
        logged = sum(monitored for monitored, _ in switch.blocks) * BLOCK
        sending = switch.sending_seconds / logged * 1e6 if logged else 0.0
        found.write_text(json.dumps({"blocks": switch.blocks, "sending_us": sending}))
        journal.close()


def monitoring_cost(
    folder: Path,
    start: Server,
    *,
    processes: int,
    seconds: float,
    connections: int,
    advance: Callable[[], None],
) -> dict[str, float]:
    """Throughput with and without monitoring.

    Args:
        folder: as `prepare` left it.
        start: of a server.
        processes: to start, one after the other.
        seconds: of load, of each.
        connections: kept open by wrk.
        advance: called after each process.

    Returns:
        `cost`, the share of throughput, and its standard error `error`; `bare_us`, the time of a
        request without monitoring; `added_us` with it, `sending_us` of that in the log's thread.

    Raises:
        RuntimeError: there are no two pairs of blocks, hence no standard error.
    """
    bare, added, sending = [], [], []
    for _ in range(processes):
        port, found = free_port(), folder / "switched.json"
        with start(port, found) as child:
            wait_ready(child, f"http://127.0.0.1:{port}/v2/health/ready")
            load(folder, VARIANT, port, seconds, connections)
        told = json.loads(found.read_text())
        found.unlink()
        blocks = told["blocks"][2:]  # the first ones warm up
        bare += [us for monitored, us in blocks if not monitored]
        added += [
            (one - other) if monitored else (other - one)
            for (monitored, one), (then, other) in pairwise(blocks)
            if monitored != then
        ]
        sending.append(told["sending_us"])
        advance()
    if len(added) < 2:
        raise RuntimeError(f"{len(added)} pairs of blocks tell nothing; make --switching longer")
    bare_us, sending_us = statistics.median(bare), statistics.median(sending)
    added_us = float(stats.trim_mean(added, TRIMMED)) + sending_us
    error_us = float(np.asarray(stats.mstats.trimmed_stde(added, (TRIMMED, TRIMMED))))
    return {
        "cost": added_us / (bare_us + added_us),
        "error": error_us / bare_us,
        "added_us": added_us,
        "sending_us": sending_us,
        "bare_us": bare_us,
    }
