import json
from typing import Any

import pytest
from pydantic import ValidationError

from kontinual.spec import Loop
from kontinual.trigger.views import Problem
from kontinual.trigger.webhook import Delivery, asks_of, problems, resolutions_of


def alert_of(status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "KontinualQualityDecay", "model": "toy", **labels},
        "annotations": {"summary": "worse"},
        "startsAt": "2026-01-01T01:00:00.123456789+01:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "c0ffee",
    }


def delivery_of(*alerts: dict[str, Any], **more: Any) -> Delivery:
    body = {"version": "4", "receiver": "trigger", "truncatedAlerts": 0, "alerts": list(alerts)}
    return Delivery.model_validate_json(json.dumps(body | more))


def test_a_firing_alert_of_this_loop_asks(loop: Loop) -> None:
    (ask,) = asks_of(delivery_of(alert_of(kind="quality_decay")).alerts, loop)
    assert (ask.alert, ask.fingerprint, ask.summary) == ("quality_decay", "c0ffee", "worse")
    assert str(ask.starts_at) == "2026-01-01 00:00:00.123456+00:00"
    assert ask.repeats


@pytest.mark.parametrize("kind", ["low_confidence", "input_anomalies", "unheard_of"])
def test_what_asks_for_no_run_is_told_once(loop: Loop, kind: str) -> None:
    (ask,) = asks_of(delivery_of(alert_of(kind=kind)).alerts, loop)
    assert not ask.repeats


def test_a_foreign_rule_without_kind_goes_by_its_name(loop: Loop) -> None:
    (ask,) = asks_of(delivery_of(alert_of()).alerts, loop)
    assert ask.alert == "KontinualQualityDecay"


def test_a_resolved_alert_asks_for_nothing(loop: Loop) -> None:
    alerts = delivery_of(alert_of("resolved")).alerts
    assert asks_of(alerts, loop) == []
    assert [r.fingerprint for r in resolutions_of(alerts, loop)] == ["c0ffee"]


def test_alerts_of_other_models_are_none_of_ours(loop: Loop) -> None:
    alerts = delivery_of(alert_of(model="other"), alert_of("resolved", model="other")).alerts
    assert asks_of(alerts, loop) == []
    assert resolutions_of(alerts, loop) == []


def test_keys_of_a_newer_alertmanager_are_let_pass(loop: Loop) -> None:
    alert = alert_of() | {"silencedBy": []}
    assert len(asks_of(delivery_of(alert, notificationReason="first").alerts, loop)) == 1


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"fingerprint": ""}, "alerts[0].fingerprint", "at least 1 character"),
        ({"startsAt": "today"}, "alerts[0].startsAt", "valid datetime"),
        ({"startsAt": "2026-01-01T00:00:00"}, "alerts[0].startsAt", "timezone"),
        ({"status": "burning"}, "alerts[0].status", "'firing' or 'resolved'"),
        ({"labels": {"model": 7}}, "alerts[0].labels.model", "valid string"),
    ],
)
def test_a_mistake_is_named_by_its_field(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        delivery_of(alert_of() | change)
    (problem,) = problems(raised.value.errors())
    assert problem.field == field
    assert message in problem.message


def test_another_version_of_the_webhook_is_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        delivery_of(alert_of(), version="5")
    assert problems(raised.value.errors()) == [
        Problem(field="version", message="Input should be '4'")
    ]
