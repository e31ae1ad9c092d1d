"""The trigger's HTTP interface: it records and tells; the worker decides."""

import hmac
import logging
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from kontinual.errors import LedgerError
from kontinual.spec import Loop
from kontinual.trigger import views
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.contracts import Receipt
from kontinual.trigger.ledger import Ledger
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.webhook import Delivery, ManualRequest, asks_of, problems, resolutions_of
from kontinual.trigger.worker import Worker

__all__ = ["MAX_BODY_BYTES", "TriggerService", "build_app"]

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 4 * 1024 * 1024
Body = TypeVar("Body", bound=BaseModel)


class TriggerService:
    """What the endpoints do, apart from HTTP."""

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        worker: Worker,
        *,
        metrics: TriggerMetrics,
        champion: ChampionWatch,
        speedup: float = 1.0,
    ) -> None:
        self.loop = loop
        self.ledger = ledger
        self.worker = worker
        self.metrics = metrics
        self.champion = champion
        self._again_after: timedelta = loop.trigger.cooldown / speedup

    def deliver(self, delivery: Delivery) -> dict[str, Any]:
        """Record a delivery in one transaction and wake the worker."""
        if delivery.truncated_alerts:
            log.warning("Alertmanager left out %d alerts", delivery.truncated_alerts)
        others = sum(not a.is_for(self.loop) for a in delivery.alerts)
        receipt = self.ledger.receive(
            asks_of(delivery.alerts, self.loop),
            resolutions_of(delivery.alerts, self.loop),
            again_after=self._again_after,
        )
        self._count(receipt, others)
        self.worker.wake()
        return {**receipt.model_dump(mode="json"), "other_models": others}

    def ask_by_hand(self, request: ManualRequest) -> dict[str, Any]:
        """Record a person's request and wake the worker."""
        trigger = self.ledger.ask_by_hand(request.reason)
        log.info("asked for by hand: %s", request.reason, extra={"trigger": trigger.id})
        self.worker.wake()
        return views.trigger_view(trigger)

    def status(self) -> dict[str, Any]:
        running = self.ledger.runs(only_open=True)
        waiting = self.ledger.triggers(only_open=True)
        return {
            "loop": self.loop.name,
            "run_in_progress": running[0].id if running else None,
            "champion": self.champion.version,
            "open_triggers": [t.id for t in waiting],
        }

    def _count(self, receipt: Receipt, others: int) -> None:
        self.metrics.count_alerts("recorded", len(receipt.recorded))
        self.metrics.count_alerts("duplicate", receipt.duplicates)
        self.metrics.count_alerts("resolved", len(receipt.resolved))
        self.metrics.count_alerts("other_model", others)


def build_app(service: TriggerService, *, token: str | None) -> FastAPI:
    """The application.

    Args:
        service: what it serves.
        token: bearer token that writing asks for; None lets everybody write.
    """
    app = FastAPI(title="Kontinual trigger", openapi_url=None)

    @app.exception_handler(LedgerError)
    def ledger_failed(_request: Request, error: LedgerError) -> Response:
        """503: Alertmanager keeps the alert and delivers it again."""
        service.metrics.count_error(error)
        log.error("a request could not be recorded or answered: %s", error)
        return JSONResponse({"detail": str(error)}, status_code=503)

    _add_writing(app, service, token)
    _add_reading(app, service)
    return app


def _add_writing(app: FastAPI, service: TriggerService, token: str | None) -> None:
    @app.post("/api/v1/alerts", status_code=202)
    async def alerts(request: Request) -> dict[str, Any]:
        _authorize(request, token)
        delivery = _parse(Delivery, await _body(request))
        return await run_in_threadpool(service.deliver, delivery)

    @app.post("/api/v1/triggers", status_code=202)
    async def ask(request: Request) -> dict[str, Any]:
        _authorize(request, token)
        wanted = _parse(ManualRequest, await _body(request))
        return await run_in_threadpool(service.ask_by_hand, wanted)


def _add_reading(app: FastAPI, service: TriggerService) -> None:
    @app.get("/api/v1/triggers")
    def triggers() -> list[dict[str, Any]]:
        return [views.trigger_view(t) for t in service.ledger.triggers()]

    @app.get("/api/v1/triggers/{number}")
    def trigger(number: int) -> dict[str, Any]:
        found = [t for t in service.ledger.triggers() if t.id == number]
        if not found:
            raise HTTPException(404, f"there is no trigger {number}")
        return views.trigger_view(found[0])

    @app.get("/api/v1/runs")
    def runs() -> list[dict[str, Any]]:
        return [views.run_view(r) for r in service.ledger.runs()]

    @app.get("/api/v1/status")
    def status() -> dict[str, Any]:
        return service.status()

    @app.get("/healthz")
    def health() -> Response:
        if not service.worker.is_alive:
            return JSONResponse({"status": "the worker has stopped"}, status_code=503)
        service.ledger.triggers(only_open=True)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _authorize(request: Request, token: str | None) -> None:
    """Compare in constant time: how long it takes tells nothing about the token."""
    if token is None:
        return
    given = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise HTTPException(
            401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"}
        )


async def _body(request: Request) -> bytes:
    """The body, given up as soon as it grows too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"a body may have {MAX_BODY_BYTES} bytes at most")
    return bytes(body)


def _parse(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise HTTPException(422, {"problems": problems(exc)}) from exc
