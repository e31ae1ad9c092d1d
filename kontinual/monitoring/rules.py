"""Prometheus' rules: what is recorded, and the alerts over it."""

from collections.abc import Sequence
from typing import Any

from kontinual.monitoring.document import document
from kontinual.monitoring.quantities import recording_rules
from kontinual.monitoring.texts import alert_texts
from kontinual.monitoring.timing import Timing
from kontinual.spec import Action, Alert, Loop, format_duration

__all__ = ["SERVICES", "alerting_rules", "render_rules", "rule_groups"]

SERVICES = ("predictor", "collector", "trigger", "envoy")


def render_rules(loop: Loop, *, speedup: float = 1.0, services: Sequence[str] = SERVICES) -> str:
    """`rules.yml` of a loop; the arguments are those of `rule_groups`."""
    groups = rule_groups(loop, speedup=speedup, services=services)
    return document({"groups": groups}, loop=loop.name)


def rule_groups(
    loop: Loop,
    *,
    speedup: float = 1.0,
    services: Sequence[str] = SERVICES,
    namespace: str | None = None,
) -> list[dict[str, Any]]:
    """The recording and alerting rules of a loop.

    One group: its rules are evaluated in order, so those that build on others see
    the values of the same moment.

    Args:
        loop: the declaration.
        speedup: how many times faster than the wall clock the loop's windows pass.
        services: Prometheus jobs that have to answer.
        namespace: where they run, where others may run elsewhere.
    """
    timing = Timing(loop, speedup)
    recorded = [
        {"record": r.record, "expr": r.expr, **({"labels": r.labels} if r.labels else {})}
        for r in recording_rules(timing, services=services, namespace=namespace)
    ]
    group = {
        "name": f"kontinual-{loop.name}",
        "interval": timing.text(timing.evaluation),
        "rules": [*recorded, *alerting_rules(timing)],
    }
    return [group]


def alerting_rules(timing: Timing) -> list[dict[str, Any]]:
    """One alerting rule for each alert that the loop declares."""
    return [_alerting_rule(timing, alert) for alert in timing.loop.monitoring.alerts]


_ASKED = {
    Action.RETRAIN: "a retraining",
    Action.ROLLBACK: "the champion before",
    Action.NOTIFY: "a look",
}


def _alerting_rule(timing: Timing, alert: Alert) -> dict[str, Any]:
    loop, hold = timing.loop, timing.hold(alert.kind)
    summary, description = alert_texts(
        alert.kind,
        window=format_duration(loop.monitoring.window_of(alert)),
        threshold=f"{alert.threshold:g}",
        action=_ASKED[alert.action],
    )
    return {
        "alert": alert.kind.alertname,
        "expr": loop.condition(alert),
        **({"for": timing.text(hold)} if hold else {}),
        "labels": {
            "model": loop.name,
            "kind": alert.kind.value,
            "action": alert.action.value,
            "severity": alert.severity,
        },
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{loop.monitoring.runbook_url}#{alert.kind.value}",
        },
    }
