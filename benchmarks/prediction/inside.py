"""What monitoring costs inside the predictor, by CPU time, without the noise of a network.

Two predictors in one process answer blocks of requests in turn, one with all monitoring
and one with none. What differs is the cost, the thread of the request log included; both
meet the same weather, so a tenth of a microsecond can be told.
"""

import asyncio
import gc
import statistics
import time
from pathlib import Path
from typing import Any

from prediction.variants import ID, bodies_of

__all__ = ["monitoring_us"]

REQUESTS = 2000  # of a block


def monitoring_us(folder: Path, collector: str, *, blocks: int) -> dict[str, float]:
    """Median microseconds of CPU that monitoring adds to a request, and its quartiles.

    Args:
        folder: as `prepare` left it.
        collector: where the request log goes.
        blocks: of each predictor.
    """
    from kontinual.serving import Front, Predictor, build

    package = folder / "package"
    monitored = build(package, version="1", collector=collector)
    fronts = [_unreached(Front, Predictor.load(package, version="1")), _unreached(Front, monitored)]
    bodies = bodies_of(folder, "kontinual").read_text().splitlines()
    gc.collect()
    gc.freeze()  # as PredictorServer does
    added = []
    for block in range(blocks):
        requests = [
            body.replace(ID, f"{time.time_ns()}-{n}").encode()
            for n, body in zip(range(REQUESTS), bodies * (REQUESTS // len(bodies)), strict=True)
        ]
        used = {}
        for which in (0, 1) if block % 2 else (1, 0):
            used[which] = _cpu_us(fronts[which], requests)
        added.append(used[1] - used[0])
    monitored.log.close()
    low, median, high = statistics.quantiles(added[1:], n=4)  # the first block warms up
    return {"median": median, "low": low, "high": high}


def _unreached(front: Any, predictor: Any) -> Any:
    async def nothing(*_: Any) -> None:
        raise AssertionError("only predictions are asked for")

    return front(nothing, predictor)


def _cpu_us(front: Any, requests: list[bytes]) -> float:
    """CPU time of the whole process for each of these requests."""
    scope = {"type": "http", "method": "POST", "path": "/v1/models/flights:predict", "headers": []}
    statuses = set()

    async def send(message: Any) -> None:
        statuses.add(message.get("status", 200))

    async def ask() -> None:
        for request in requests:

            async def receive(body: bytes = request) -> dict[str, Any]:
                return {"type": "http.request", "body": bytes(bytearray(body))}

            await front(scope, receive, send)

    begun = time.process_time()
    asyncio.run(ask())
    used = time.process_time() - begun
    if statuses != {200}:
        raise RuntimeError(f"not every request was answered: {statuses}")
    return used / len(requests) * 1e6
