import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from kontinual.monitoring import SERVICES, Timing, dashboard, recording_rules
from kontinual.spec import AlertKind, Loop, metrics

NAME = re.compile(r"\b(?:kontinual[:_][a-z_:]+|ALERTS)\b")


def panels(loop: Loop) -> list[dict[str, Any]]:
    return [p for p in dashboard(loop)["panels"] if p["type"] != "row"]


def expressions(loop: Loop) -> list[str]:
    drawn = [target["expr"] for panel in panels(loop) for target in panel["targets"]]
    return drawn + [mark["expr"] for mark in dashboard(loop)["annotations"]["list"]]


def test_every_series_is_one_that_somebody_exports_or_records(loop: Loop) -> None:
    exported = set(re.findall(r"^\| (kontinual_\w+) \|", metrics.__doc__ or "", re.MULTILINE))
    assert len(exported) > 30, "the table of metrics has another form now"
    histograms = {f"{name}_bucket" for name in exported if name.endswith("_seconds")}
    recorded = {rule.record for rule in recording_rules(Timing(loop), services=SERVICES)}
    drawn = {name for expr in expressions(loop) for name in NAME.findall(expr)}
    assert drawn <= exported | histograms | recorded | {"ALERTS"}
    assert len(drawn) > 25


def test_every_query_is_about_this_loop_alone(loop: Loop) -> None:
    for expr in expressions(loop):
        assert expr.count('model="flights"') == len(NAME.findall(expr)), expr


def test_every_declared_quantity_is_drawn_with_its_threshold(loop: Loop) -> None:
    drawn = {
        target["expr"]: panel["fieldConfig"]["defaults"].get("thresholds")
        for panel in panels(loop)
        for target in panel["targets"]
    }
    for alert in loop.monitoring.alerts:
        if alert.kind.of_services or alert.kind is AlertKind.FEATURE_DRIFT:
            continue  # the one is no figure of the model, the other is drawn by feature
        thresholds = drawn[f'{alert.kind.series}{{model="flights"}}']
        assert thresholds["steps"][1]["value"] == alert.threshold, alert.kind
    by_feature = drawn['max by (feature) (kontinual:feature_psi{model="flights"})']
    assert by_feature["steps"][1]["value"] == 0.25


def test_a_quantity_that_no_alert_judges_has_no_line(changed: Callable[..., Loop]) -> None:
    one = changed(monitoring={"alerts": [{"kind": "model_age", "threshold": 3}]})
    lines = [p for p in panels(one) if "thresholds" in p["fieldConfig"]["defaults"]]
    assert [p["title"] for p in lines] == ["Age of the champion"]


def test_panels_lie_side_by_side_and_none_covers_another(loop: Loop) -> None:
    covered: set[tuple[int, int]] = set()
    for panel in dashboard(loop)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = set(
            itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        )
        assert not covered & cells, panel["title"]
        covered |= cells
    numbers = [panel["id"] for panel in dashboard(loop)["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_retrainings_and_champions_are_marked_on_every_panel(loop: Loop) -> None:
    marks = {m["name"]: m["expr"] for m in dashboard(loop)["annotations"]["list"]}
    assert "kontinual_runs_total" in marks["Retrainings"]
    assert "kontinual_champion_since_seconds" in marks["New champions"]


@pytest.mark.parametrize(("speedup", "window"), [(1.0, "[4w2d]"), (86400.0, "[30s]")])
def test_windows_pass_at_the_speed_of_the_loop(loop: Loop, speedup: float, window: str) -> None:
    assert window in str(dashboard(loop, speedup=speedup))


def test_loops_of_the_longest_names_have_dashboards_of_their_own(
    changed: Callable[..., Loop],
) -> None:
    uids = {dashboard(changed(name="x" * 41 + last))["uid"] for last in "ab"}
    assert len(uids) == 2
    assert all(len(uid) <= 40 for uid in uids), "Grafana takes no longer ones"
