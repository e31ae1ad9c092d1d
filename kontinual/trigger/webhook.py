"""Alertmanager's webhook, version 4: what is delivered, and what it asks of a loop.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
Unknown keys are let pass, so that a newer Alertmanager is understood.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kontinual.spec import Action, AlertKind, Loop
from kontinual.trigger.contracts import Ask, Resolution, Source

__all__ = ["Delivery", "ManualRequest", "WebhookAlert", "asks_of", "problems", "resolutions_of"]

MAX_ALERTS = 10_000
Text = Annotated[str, Field(max_length=10_000)]


class WebhookAlert(BaseModel):
    """One alert of a delivery."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, Text]
    annotations: dict[str, Text] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime = Field(alias="endsAt")
    fingerprint: str = Field(min_length=1, max_length=64)

    def is_for(self, loop: Loop) -> bool:
        return self.labels.get("model") == loop.name


class Delivery(BaseModel):
    """The body of a delivery."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)
    alerts: list[WebhookAlert] = Field(max_length=MAX_ALERTS)


class ManualRequest(BaseModel):
    """The body of a person's request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["manual"] = "manual"
    reason: str = Field(min_length=1, max_length=1_000)


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


def problems(error: ValidationError) -> list[dict[str, str]]:
    """The mistakes in a body: each field by its path, with what would be right."""
    return [{"field": _path(e["loc"]), "message": e["msg"]} for e in error.errors()]


def _ask(alert: WebhookAlert, loop: Loop) -> Ask:
    kind = alert.labels.get("kind") or alert.labels.get("alertname", "unknown")
    return Ask(
        source=Source.ALERTMANAGER,
        alert=kind[:64],
        fingerprint=alert.fingerprint,
        starts_at=alert.starts_at,
        labels=alert.labels,
        summary=alert.annotations.get("summary", ""),
        repeats=_retrains(kind, loop),
    )


def _retrains(kind: str, loop: Loop) -> bool:
    """Only what asks for a retraining may ask again; a notification is told once."""
    declared = {a.kind: a.action for a in loop.monitoring.alerts}
    return kind in set(AlertKind) and declared.get(AlertKind(kind)) is Action.RETRAIN


def _path(location: tuple[Any, ...]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location)
    return text.removeprefix(".") or "(body)"
