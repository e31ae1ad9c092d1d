"""The trigger's HTTP interface: it records and tells; the worker decides."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from kontinual.errors import LedgerError
from kontinual.trigger import views
from kontinual.trigger.auth import Doorkeeper
from kontinual.trigger.contracts import LedgerDown, NotNow, NotThere
from kontinual.trigger.group import Group
from kontinual.trigger.guard import Guard, identity_of
from kontinual.trigger.service import TriggerService
from kontinual.trigger.webhook import Delivery, DeliveryRoute, problems

__all__ = ["build_app"]

log = logging.getLogger(__name__)

Number = Annotated[int, Path(ge=1, lt=2**31, description="number of the trigger")]
RunId = Annotated[str, Path(min_length=1, max_length=63, pattern=r"^[a-z0-9-]+$")]
REASONS = {
    400: "the request is no HTTP that can be read",
    401: "no valid credential",
    403: "the credential has not the scope",
    404: "there is no such trigger or run",
    409: "not possible in the present state",
    413: "the body is too long",
    422: "mistakes in the request, each by its field",
    503: "the ledger does not answer; ask again",
}


def build_app(service: TriggerService, *, doorkeeper: Doorkeeper) -> FastAPI:
    """The application.

    Args:
        service: what it serves.
        doorkeeper: tells who asks.
    """
    app = FastAPI(
        title="Kontinual trigger",
        version="1",
        description="Alerts and requests come in, decisions and runs are told. "
        "Every answer names what it was decided by.",
        docs_url=None,
        redoc_url=None,
    )
    _add_alerts(app, service)
    _add_triggers(app, service)
    _add_runs(app, service)
    _add_control(app, service)
    _add_health(app, service)
    _map_errors(app, service)
    app.add_middleware(Guard, doorkeeper=doorkeeper, count_refusal=service.metrics.count_refusal)
    return app


def _answers(*statuses: int) -> dict[str, Any]:
    """A route's documentation: what it may answer beside success, and that it asks for a token."""
    known = {401, 403, 413, 503, *statuses}
    told = {s: {"model": views.Refusal, "description": REASONS[s]} for s in sorted(known)}
    return {"responses": told, "dependencies": [Depends(HTTPBearer(auto_error=False))]}


def _who(request: Request, statement: views.Statement) -> str:
    """Who acts: the credential's name, and the person's who uses it if that is told."""
    name = identity_of(request).name
    return name if statement.by is None else f"{statement.by} ({name})"


def _add_alerts(app: FastAPI, service: TriggerService) -> None:
    group = Group(service.deliver, hopeless=LedgerDown)
    router = APIRouter(route_class=DeliveryRoute)

    @router.post("/api/v1/alerts", status_code=202, **_answers(422, 400))
    async def alerts(delivery: Delivery) -> views.Received:
        """Alertmanager's webhook, version 4. Answered when all is in the ledger."""
        return await group.add(delivery)

    app.include_router(router)


def _add_triggers(app: FastAPI, service: TriggerService) -> None:
    @app.post("/api/v1/triggers", status_code=202, **_answers(400, 409, 422))
    def ask(request: Request, wanted: views.Request) -> views.TriggerView:
        """Ask for a retraining. Through the same policy as an alert, unless `past_policy`."""
        return views.TriggerView.of(service.ask(wanted, _who(request, wanted)))

    @app.get("/api/v1/triggers", **_answers(422))
    def triggers(
        only_open: bool = False,
        before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    ) -> list[views.TriggerView]:
        """Triggers in the order they came: the last `limit` before one, or those still open."""
        found = service.ledger.triggers(only_open=only_open, before=before, limit=limit)
        return [views.TriggerView.of(t) for t in found]

    @app.get("/api/v1/triggers/{number}", **_answers(404, 422))
    def trigger(number: Number) -> views.TriggerView:
        """One trigger with its decision and the evidence."""
        return views.TriggerView.of(service.ledger.trigger(number))

    @app.post("/api/v1/triggers/{number}/approve", **_answers(400, 404, 409, 422))
    def approve(request: Request, number: Number, said: views.Statement) -> views.TriggerView:
        """Agree to a held trigger's run; the policy's other rules still have their say."""
        found = service.approve(number, said.reason, _who(request, said))
        return views.TriggerView.of(found)

    @app.post("/api/v1/triggers/{number}/reject", **_answers(400, 404, 409, 422))
    def reject(request: Request, number: Number, said: views.Statement) -> views.TriggerView:
        """Decide against a run, for good."""
        return views.TriggerView.of(service.reject(number, said.reason, _who(request, said)))

    @app.post("/api/v1/triggers/{number}/withdraw", **_answers(400, 404, 409, 422))
    def withdraw(request: Request, number: Number, said: views.Statement) -> views.TriggerView:
        """Take back what was asked."""
        return views.TriggerView.of(service.withdraw(number, said.reason, _who(request, said)))


def _add_runs(app: FastAPI, service: TriggerService) -> None:
    @app.get("/api/v1/runs", **_answers())
    def runs() -> list[views.RunView]:
        """Runs in the order they were accepted."""
        return [views.RunView.of(r) for r in service.ledger.runs()]

    @app.get("/api/v1/runs/{run_id}", **_answers(404, 422))
    def run(run_id: RunId) -> views.RunView:
        """One run with its outcome and steps."""
        return views.RunView.of(service.ledger.run(run_id))

    @app.post("/api/v1/runs/{run_id}/stop", **_answers(400, 404, 409, 422))
    def stop(request: Request, run_id: RunId, said: views.Statement) -> views.RunView:
        """Ask a run to end; a rollout puts the champion back before it does."""
        return views.RunView.of(service.stop(run_id, said.reason, _who(request, said)))

    @app.post("/api/v1/rollbacks", status_code=202, **_answers(400, 409, 422))
    def rollback(request: Request, wanted: views.Rollback) -> views.TriggerView:
        """Make an earlier version champion again, now; even while the loop is paused."""
        return views.TriggerView.of(service.rollback(wanted, _who(request, wanted)))


def _add_control(app: FastAPI, service: TriggerService) -> None:
    @app.get("/api/v1/status", **_answers())
    def status() -> views.Status:
        """The loop at one glance."""
        return service.status()

    @app.post("/api/v1/pause", **_answers(400, 409, 422))
    def pause(request: Request, wanted: views.Pause) -> views.Status:
        """Start no run any more; with `all` none of any loop in this ledger."""
        return service.pause(wanted, _who(request, wanted))

    @app.post("/api/v1/resume", **_answers(400, 409, 422))
    def resume(request: Request, wanted: views.Resume) -> views.Status:
        """Let the policy start runs again."""
        return service.resume(wanted, _who(request, wanted))

    @app.post("/api/v1/circuit/close", **_answers(400, 409, 422))
    def close_circuit(request: Request, said: views.Statement) -> views.Status:
        """Let runs be started again after too many have failed."""
        return service.close_circuit(said.reason, _who(request, said))

    @app.get("/api/v1/entries", **_answers(422))
    def entries(
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> list[views.EntryView]:
        """Entries of the ledger's chain behind one, in its order."""
        found = service.ledger.entries(after=after, limit=limit)
        return [views.EntryView(**entry.model_dump(mode="json")) for entry in found]


def _add_health(app: FastAPI, service: TriggerService) -> None:
    unwell: dict[int | str, dict[str, Any]] = {
        503: {"model": views.Refusal, "description": "it can not work"}
    }

    @app.get("/livez", responses=unwell)
    async def live() -> dict[str, str]:
        """Does the worker live? A start anew helps it, and no database that is away."""
        if not service.worker.is_alive:
            raise HTTPException(503, "the worker has stopped")
        return {"status": "ok"}

    @app.get("/healthz", responses=unwell)
    def health() -> dict[str, str]:
        """Does the worker live, and does the ledger answer?"""
        if not service.worker.is_alive:
            raise HTTPException(503, "the worker has stopped")
        service.ledger.open_summary()
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Prometheus' text format."""
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _map_errors(app: FastAPI, service: TriggerService) -> None:
    def refuse(status: int, detail: str, found: list[views.Problem] | None = None) -> JSONResponse:
        told = views.Refusal(detail=detail, problems=found or [])
        return JSONResponse(told.model_dump(), status_code=status)

    @app.exception_handler(LedgerError)
    def ledger_failed(_request: Request, error: LedgerError) -> Response:
        """503: Alertmanager keeps the alert and delivers it again."""
        service.metrics.count_error(error)
        log.error("a request could not be recorded or answered: %s", error)
        return refuse(503, str(error))

    @app.exception_handler(NotThere)
    def not_there(_request: Request, error: NotThere) -> Response:
        return refuse(404, str(error))

    @app.exception_handler(NotNow)
    def not_now(_request: Request, error: NotNow) -> Response:
        return refuse(409, str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> Response:
        found = problems(error.errors())
        return refuse(422, "; ".join(f"{p.field}: {p.message}" for p in found[:10]), found)

    @app.exception_handler(HTTPException)
    def refused(_request: Request, error: HTTPException) -> Response:
        answer = refuse(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer
