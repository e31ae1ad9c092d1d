"""Alertmanager's webhook, version 4: what is delivered, and what it asks of a loop.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
Unknown keys are let pass, so that a newer Alertmanager is understood.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from starlette.requests import Request
from starlette.responses import Response

from kontinual.spec import MAX_ALERTS, Action, Loop
from kontinual.trigger.contracts import Ask, Resolution, RunKind, Source, Wish
from kontinual.trigger.views import Problem, without_nul

__all__ = ["Delivery", "DeliveryRoute", "WebhookAlert", "asks_of", "problems", "resolutions_of"]

Text = Annotated[str, Field(max_length=10_000), AfterValidator(without_nul)]
Key = Annotated[str, AfterValidator(without_nul)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("the moment is out of the range of dates") from exc


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class WebhookAlert(BaseModel):
    """One alert of a delivery."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[Key, Text]
    annotations: dict[Key, Text] = Field(default_factory=dict)
    starts_at: Moment = Field(alias="startsAt")
    ends_at: Moment = Field(alias="endsAt")
    fingerprint: Key = Field(min_length=1, max_length=64)

    def is_for(self, loop: Loop) -> bool:
        return self.labels.get("model") == loop.name


class Delivery(BaseModel):
    """The body of a delivery."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)
    alerts: list[WebhookAlert] = Field(max_length=MAX_ALERTS)


class DeliveryRoute(APIRoute):
    """The way of a delivery to its handler: told in the OpenAPI document like any other, but short.

    A storm comes through here, and FastAPI's own way takes twice as long: pydantic reads the
    bytes in one step, and nothing is looked for where a delivery has nothing.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            try:
                delivery = Delivery.model_validate_json(await request.body())
            except ValidationError as exc:
                found = exc.errors(include_url=False, include_context=False)
                raise RequestValidationError(found) from exc
            received: BaseModel = await self.endpoint(delivery)
            told = received.model_dump_json()
            return Response(told, self.status_code or 200, media_type="application/json")

        return handle


def asks_of(alerts: Sequence[WebhookAlert], loop: Loop) -> list[Ask]:
    """What the firing alerts of this loop ask."""
    return [_ask(a, loop) for a in alerts if a.status == "firing" and a.is_for(loop)]


def resolutions_of(alerts: Sequence[WebhookAlert], loop: Loop) -> list[Resolution]:
    """The alerts of this loop that have resolved."""
    return [
        Resolution(fingerprint=a.fingerprint, starts_at=a.starts_at, ends_at=a.ends_at)
        for a in alerts
        if a.status == "resolved" and a.is_for(loop)
    ]


def problems(errors: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """The mistakes in a body: each field by its path, with what would be right."""
    return [Problem(field=_path(e["loc"]), message=e["msg"]) for e in errors]


def _ask(alert: WebhookAlert, loop: Loop) -> Ask:
    kind = alert.labels.get("kind") or alert.labels.get("alertname", "unknown")
    return Ask(
        source=Source.ALERTMANAGER,
        alert=kind[:64],
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at,
        labels=alert.labels,
        summary=alert.annotations.get("summary", ""),
        repeats=_action(kind, loop) in {Action.RETRAIN, Action.ROLLBACK},
        wish=Wish(kind=RunKind.ROLLBACK) if _action(kind, loop) is Action.ROLLBACK else Wish(),
    )


def _action(kind: str, loop: Loop) -> Action | None:
    """What the loop declares for a kind; only what asks for a run may ask again."""
    return next((a.action for a in loop.monitoring.alerts if a.kind == kind), None)


def _path(location: tuple[Any, ...]) -> str:
    parts = location[1:] if location[:1] == ("body",) else location
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)
    return text.removeprefix(".") or "(body)"
