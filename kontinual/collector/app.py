"""The collector's HTTP interface."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated

from fastapi import BackgroundTasks, FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from kontinual.collector.cohort import COHORT_LIMIT, cohort
from kontinual.collector.door import Door
from kontinual.collector.events import (
    InvalidItems,
    ItemProblem,
    PredictionReader,
    read_feedback,
)
from kontinual.collector.examples import EXAMPLES_LIMIT, examples_parquet
from kontinual.collector.outcomes import VERSIONS_LIMIT, OutcomeCounters
from kontinual.collector.records import Cohort
from kontinual.collector.store import Forgotten, Store
from kontinual.spec import Loop

__all__ = ["create_app"]

PRUNE_SECONDS = 600
RIPEN_SECONDS = 2


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    store: str = Field(description="identity of the store that the cursor counts in")
    cursor: int = Field(ge=0, description="greatest _seq that is in a span")


class Collector:
    """What the routes do, apart from HTTP."""

    def __init__(self, loop: Loop, store: Store) -> None:
        self.loop, self.store = loop, store
        self.registry = CollectorRegistry()
        self.counters = OutcomeCounters(loop, store, self.registry)
        self._reader = PredictionReader(loop)

    def events(self, body: bytes, headers: dict[str, str]) -> dict[str, int]:
        """Keep the predictions of a request; all of it or, when anything is wrong, nothing."""
        try:
            predictions = self._reader.read(body, headers)
            versions = {p.version for p in predictions}
            self._insist_on_room(versions)
        except InvalidItems as exc:
            self.counters.invalid_events(exc.items)
            raise
        result = self.store.add(predictions)
        self.counters.ingested(result, versions=versions)
        return {
            "stored": result.stored,
            "duplicate": result.duplicate,
            "matured": len(result.matured),
        }

    def _insist_on_room(self, versions: set[str]) -> None:
        if not self.counters.has_room_for(versions):
            told = f"there are series of {VERSIONS_LIMIT} versions at once; these are too many"
            raise InvalidItems([ItemProblem(None, "version", told)])

    def labels(self, body: bytes) -> dict[str, int]:
        """Keep the labels of a request; all of it or, when anything is wrong, nothing."""
        try:
            records = read_feedback(body)
        except InvalidItems as exc:
            self.counters.invalid_labels(exc.items)
            raise
        result = self.store.label(records)
        self.counters.labelled(result)
        return {
            "joined": result.joined,
            "early": result.early,
            "duplicate": result.duplicate,
            "conflict": result.conflict,
        }

    def outcomes(
        self,
        versions: list[str],
        since: datetime,
        until: datetime | None,
        *,
        labelled: float,
        clip: float,
    ) -> Cohort:
        """Versions compared on predictions of the same time."""
        if until is not None and since >= until:
            raise HTTPException(422, f"since is before until, but got {since} and {until}")
        try:
            rows = self.store.answered(
                versions, since=since, until=until or self.store.now(), limit=COHORT_LIMIT
            )
        except Forgotten as exc:
            raise HTTPException(410, str(exc)) from exc
        return cohort(rows, versions=versions, labelled=labelled, clip=clip)

    def meant(self, store: str | None) -> None:
        """Refuse who means another store: its numbers say nothing about the rows of this one."""
        if store not in (None, self.store.identity):
            raise HTTPException(
                409, f"store is {self.store.identity}, the one of this collector, but got {store!r}"
            )

    def prune(self) -> None:
        """Forget what is old."""
        while self.prune_some():
            pass

    def prune_some(self) -> bool:
        """Forget some of what is old; False once there is no more of it, or it can not be done.

        What fails is tried again the next time.
        """
        try:
            self.counters.pruned(pruned := self.store.prune())
        except SQLAlchemyError as exc:
            logging.error("old rows could not be pruned: %s", exc)
            return False
        if any(pruned):
            logging.info(
                "no longer kept are %d rows that were taken, %d predictions without a label and "
                "%d labels without a prediction",
                *pruned,
            )
        return any(pruned)

    def ripen_some(self) -> bool:
        """Let some rows mature; False once there are no more of them, or it can not be done."""
        try:
            rows = self.store.ripen()
        except SQLAlchemyError as exc:
            logging.error("labelled rows could not be made examples: %s", exc)
            return False
        self.counters.matured(rows)
        return bool(rows)


async def _keep_doing(some: Callable[[], bool], *, every: float) -> None:
    """Do some until nothing is left to do, now and every so many seconds, for ever."""
    while True:
        while await run_in_threadpool(some):
            pass
        await asyncio.sleep(every)


def create_app(loop: Loop, store: Store, *, hosts: Collection[str] = ()) -> FastAPI:
    """The application for one loop; it closes the store when it ends.

    Args:
        loop: the declaration.
        store: where predictions and labels are kept.
        hosts: names and addresses by which it may be called; empty: any.
    """
    collector = Collector(loop, store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        kept_up = asyncio.gather(
            _keep_doing(collector.prune_some, every=PRUNE_SECONDS),
            _keep_doing(collector.ripen_some, every=RIPEN_SECONDS),
        )
        yield
        kept_up.cancel()
        with suppress(asyncio.CancelledError):
            await kept_up
        store.close()

    app = FastAPI(
        title=f"Kontinual collector of {loop.name}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(InvalidItems, _refused)
    app.add_exception_handler(SQLAlchemyError, _unwritten)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_middleware(Door, hosts=hosts)
    _add_writing(app, collector)
    _add_reading(app, collector)
    return app


def _add_writing(app: FastAPI, collector: Collector) -> None:
    @app.post("/api/v1/events", status_code=202)
    async def events(request: Request) -> dict[str, int]:
        body = await request.body()
        return await run_in_threadpool(collector.events, body, dict(request.headers))

    @app.post("/api/v1/labels", status_code=202)
    async def labels(request: Request) -> dict[str, int]:
        return await run_in_threadpool(collector.labels, await request.body())

    @app.post("/api/v1/taken")
    def taken(told: _Taken, tasks: BackgroundTasks) -> dict[str, int]:
        collector.meant(told.store)
        try:
            cursor = collector.store.take(told.cursor)
        except ValueError as exc:
            raise HTTPException(409, str(exc)) from exc
        tasks.add_task(collector.prune)
        return {"cursor": cursor}


def _add_reading(app: FastAPI, collector: Collector) -> None:
    @app.get("/api/v1/examples", response_class=StreamingResponse)
    def examples(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=EXAMPLES_LIMIT)] = 10_000,
        store: str | None = None,
    ) -> StreamingResponse:
        collector.meant(store)
        try:
            rows = collector.store.examples(after=after, limit=limit)
        except Forgotten as exc:
            raise HTTPException(410, str(exc)) from exc
        return StreamingResponse(
            examples_parquet(collector.loop, rows), media_type="application/vnd.apache.parquet"
        )

    @app.get("/api/v1/outcomes")
    def outcomes(
        version: Annotated[list[str], Query(min_length=1, max_length=10)],
        since: AwareDatetime,
        until: AwareDatetime | None = None,
        labelled: Annotated[float, Query(gt=0, le=1)] = 0.9,
        clip: Annotated[float, Query(ge=0, lt=0.5)] = 0.0,
    ) -> Cohort:
        """How versions do on predictions of the same time.

        Of their predictions that arrived in [since, until), now at the latest, the longest
        beginning of which each version's share of labels is at least `labelled`: labels
        that come first are not like the rest (see `kontinual.collector.cohort`). Scores
        count as `clip` away from 0 and 1 at the least.
        """
        return collector.outcomes(version, since, until, labelled=labelled, clip=clip)

    @app.get("/api/v1/store")
    def store() -> dict[str, str | int]:
        kept, counts = collector.store, collector.store.counts
        return {
            "loop": collector.loop.name,
            "store": kept.identity,
            "ripening": counts.ripening,
            "matured": counts.matured,
            "taken": counts.taken,
            "pruned": kept.pruned,
        }

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "loop": collector.loop.name}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(collector.registry), media_type=CONTENT_TYPE_LATEST)


def _refused(_: Request, exc: Exception) -> JSONResponse:
    problems = exc.problems if isinstance(exc, InvalidItems) else []
    return JSONResponse(
        {
            "detail": str(exc),
            "problems": [
                {"item": p.item, "field": p.field, "message": p.message} for p in problems
            ],
        },
        status_code=422,
    )


def _unwritten(_: Request, exc: Exception) -> JSONResponse:
    """The store is in trouble (a full disk): nothing was kept, so the sender shall try again."""
    logging.error("the store can not be used: %s", exc)
    return JSONResponse({"detail": "the store can not be used; try again"}, status_code=503)


def _bad_request(_: Request, exc: Exception) -> JSONResponse:
    errors = exc.errors() if isinstance(exc, RequestValidationError) else []
    texts = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors]
    return JSONResponse({"detail": "; ".join(texts)}, status_code=422)
