"""Group commit: what comes at once is written by one durable transaction, and then answered."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

__all__ = ["Group"]

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 256
"""Items in one transaction; so many wait for the slowest of them."""


class Group(Generic[Item, Result]):
    """Writes items in the order in which they come, together with those that came meanwhile.

    While one transaction goes on, what comes waits for the next one: a lone item is written at
    once, and a storm costs one commit for many. Nothing is answered before its commit.
    Belongs to one event loop.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        hopeless: type[Exception],
    ) -> None:
        """Set up a group.

        Args:
            write: writes some items in one transaction, all or (on an error) none, and
                returns what to answer to each; called in a thread, one call at a time.
            hopeless: an error that would meet every item, so that none is tried alone.
        """
        self._write = write
        self._hopeless = hopeless
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Result:
        """What `write` returns for this item, once it is written; or raises what it raised."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write_batch(batch)
        finally:
            self._writer = None

    async def _write_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        """One that can not be written must not fail its neighbours: then each is written alone."""
        try:
            results = await run_in_threadpool(self._write, [item for item, _ in batch])
        except Exception as exc:
            if len(batch) == 1 or isinstance(exc, self._hopeless):
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(exc)
                return
            for one in batch:
                await self._write_batch([one])
            return
        for (_, answer), result in zip(batch, results, strict=True):
            # Who asked may have gone away; it is written all the same.
            if not answer.done():
                answer.set_result(result)
