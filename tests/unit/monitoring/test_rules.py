from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from kontinual.monitoring import SERVICES, render_rules, render_rules_test
from kontinual.spec import AlertKind, Loop

Changed = Callable[..., Loop]


def group(text: str) -> dict[str, Any]:
    (found,) = YAML(typ="safe").load(text)["groups"]
    return dict(found)


def rules(text: str, key: str) -> dict[str, dict[str, Any]]:
    return {rule[key]: rule for rule in group(text)["rules"] if key in rule}


def test_rendering_is_stable_and_says_where_it_comes_from(loop: Loop) -> None:
    text = render_rules(loop)
    assert text == render_rules(loop)
    first = "# rendered by kontinual render from loop flights; do not edit\n"
    assert text.startswith(first)
    assert render_rules_test(loop).startswith(first)


def test_every_kind_is_recorded_whether_an_alert_asks_for_it_or_not(changed: Changed) -> None:
    one = changed(monitoring={"alerts": [{"kind": "model_age", "threshold": 3}]})
    text = render_rules(one)
    assert {kind.series for kind in AlertKind} <= rules(text, "record").keys()
    assert rules(text, "alert").keys() == {"KontinualModelAge"}


def test_what_other_stations_read_is_recorded(loop: Loop) -> None:
    assert {
        "kontinual:quality:roc_auc",
        "kontinual:quality:log_loss",
        "kontinual:feature_psi",
        "kontinual:expected_log_loss_rise:value",
    } <= rules(render_rules(loop), "record").keys()


def test_an_alert_is_the_loops_condition_with_what_it_asks_for(loop: Loop) -> None:
    found = rules(render_rules(loop), "alert")
    for alert in loop.monitoring.alerts:
        rule = found[alert.kind.alertname]
        assert rule["expr"] == loop.condition(alert)
        assert rule["labels"] == {
            "model": "flights",
            "kind": alert.kind.value,
            "action": alert.action.value,
            "severity": alert.severity,
        }
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/runbook#{alert.kind.value}")


def test_texts_are_filled_in_but_for_what_prometheus_fills_in(loop: Loop) -> None:
    for rule in rules(render_rules(loop), "alert").values():
        for text in rule["annotations"].values():
            rest = text
            while "{{" in rest:
                before, _, after = rest.partition("{{")
                inside, closed, after = after.partition("}}")
                assert closed
                assert inside.strip().startswith("$")
                rest = before + after
            assert "{" not in rest
            assert "}" not in rest


def test_a_rule_is_written_before_the_rules_that_build_on_it(loop: Loop) -> None:
    seen: set[str] = set()
    recorded = rules(render_rules(loop), "record").keys()
    for rule in group(render_rules(loop))["rules"]:
        used = {name for name in recorded if name in rule["expr"]}
        assert used - {rule.get("record")} <= seen | {rule.get("record")}
        seen.add(rule.get("record", ""))


def test_every_series_is_asked_for_this_loop_alone(loop: Loop) -> None:
    """One Prometheus may watch several loops."""
    for name, rule in rules(render_rules(loop), "record").items():
        series = rule["expr"].count("kontinual_") + rule["expr"].count("kontinual:")
        if name != AlertKind.SERVICE_DOWN.series:
            assert rule["expr"].count('model="flights"') == series > 0, name


@pytest.mark.parametrize(
    ("speedup", "interval", "window", "hold"),
    [(1, "1m", "[4w2d]", "1w"), (86400, "1s", "[30s]", "7s")],
)
def test_time_is_scaled(loop: Loop, speedup: float, interval: str, window: str, hold: str) -> None:
    text = render_rules(loop, speedup=speedup)
    assert group(text)["interval"] == interval
    assert window in text
    assert rules(text, "alert")["KontinualFeatureDrift"]["for"] == hold
    assert "for" not in rules(text, "alert")["KontinualQualityDecay"]


def test_an_alerts_own_window_and_rows_are_used(changed: Changed) -> None:
    alert = {"kind": "prediction_drift", "threshold": 1, "window": "3h", "min_rows": 77}
    text = render_rules(changed(monitoring={"alerts": [alert]}))
    found = rules(text, "record")
    assert "[3h]" in found["kontinual:score_rows:bin"]["expr"]
    assert ">= 77" in found[AlertKind.PREDICTION_DRIFT.series]["expr"]
    assert ">= 500" in found[AlertKind.FEATURE_DRIFT.series]["expr"]


def test_each_service_is_watched_by_name(loop: Loop) -> None:
    down = [
        rule
        for rule in group(render_rules(loop))["rules"]
        if rule.get("record") == AlertKind.SERVICE_DOWN.series
    ]
    assert [rule["labels"]["service"] for rule in down] == list(SERVICES)
    assert all(rule["labels"]["model"] == "flights" for rule in down)


def test_the_suite_tries_each_alert_in_good_and_bad_worlds(loop: Loop) -> None:
    names = [t["name"] for t in YAML(typ="safe").load(render_rules_test(loop))["tests"]]
    assert len(set(names)) == len(names)
    for alert in loop.monitoring.alerts:
        own = [n.partition(": ")[2] for n in names if n.startswith(alert.kind.alertname + ":")]
        assert own[:2] == ["fires", "silent when nothing is wrong"]
        if alert.kind not in {"model_age", "new_labels"} and not alert.kind.of_services:
            assert own[2:] == ["silent with too few rows", "silent when not the champion"]
