"""Sending the traffic: predictions through the gateway, labels late, at a steady rate."""

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import httpx

from kontinual.local.demo.traffic import Row, Traffic
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = ["Answer", "Replay"]

log = logging.getLogger("kontinual.demo")
LABELS_PER_POST = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a served prediction turned out to be."""

    row: Row
    score: float
    version: str


class Replay:
    """One pass over the traffic.

    A request that fails is counted and not repeated: its rows have no prediction,
    as in production. A label that can not be delivered is kept for the next post.
    """

    def __init__(self, traffic: Traffic, *, loop: Loop, settings: Settings, rate: float) -> None:
        self._traffic, self._loop, self._settings, self._rate = traffic, loop, settings, rate
        self._due: list[tuple[datetime, str, int]] = []
        self._in_flight = asyncio.Semaphore(32)
        self.failures = 0
        self.now: datetime | None = None

    async def run(self, on_answer: Callable[[Answer], None]) -> None:
        """Send every request, then every label that is still due."""
        loop_time = asyncio.get_running_loop().time
        async with httpx.AsyncClient(timeout=10) as client, asyncio.TaskGroup() as group:
            due = loop_time()
            for count, rows in enumerate(self._traffic):
                due = max(due + 1 / self._rate, loop_time() - 0.5)
                await asyncio.sleep(max(0.0, due - loop_time()))
                self.now = max(rows[-1].time, self.now or rows[-1].time)
                await self._in_flight.acquire()
                group.create_task(self._predict(client, rows, on_answer))
                if count % 20 == 0:
                    await self._deliver(client, until=self.now)
        async with httpx.AsyncClient(timeout=10) as client:
            await self._deliver(client, until=None)

    async def _predict(
        self,
        client: httpx.AsyncClient,
        rows: tuple[Row, ...],
        on_answer: Callable[[Answer], None],
    ) -> None:
        url = f"{self._settings.gateway_url}/v1/models/{self._loop.name}:predict"
        try:
            answer = await client.post(url, json={"instances": [row.instance for row in rows]})
            scores = [float(p) for p in answer.raise_for_status().json()["predictions"]]
        except (httpx.HTTPError, KeyError, ValueError) as exc:
            self.failures += 1
            log.debug("no prediction: %s", exc)
            return
        finally:
            self._in_flight.release()
        data, version = self._loop.data, answer.headers.get("x-kontinual-version", "")
        for row, score in zip(rows, scores, strict=True):
            on_answer(Answer(row, score, version))
            due = row.time + data.label.delay
            heapq.heappush(self._due, (due, str(row.instance[data.id]), row.label))

    async def _deliver(self, client: httpx.AsyncClient, *, until: datetime | None) -> None:
        """Post the labels that are due by then, or all of them."""
        while self._due and (until is None or self._due[0][0] <= until):
            batch: list[tuple[datetime, str, int]] = []
            while (
                self._due
                and len(batch) < LABELS_PER_POST
                and (until is None or self._due[0][0] <= until)
            ):
                batch.append(heapq.heappop(self._due))
            labels = [{"id": i, "label": v, "time": t.isoformat()} for t, i, v in batch]
            try:
                url = f"{self._settings.collector}/api/v1/labels"
                (await client.post(url, json={"labels": labels})).raise_for_status()
            except httpx.HTTPError as exc:
                log.warning("labels could not be delivered, they are kept: %s", exc)
                for item in batch:
                    heapq.heappush(self._due, item)
                return
