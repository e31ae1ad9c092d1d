"""The rendered files before the real checkers: promtool and amtool."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kontinual.monitoring import (
    Cluster,
    dashboard,
    render_alertmanager,
    render_kubeflow,
    render_prometheus,
    render_rules,
    render_rules_test,
)
from kontinual.spec import AlertKind, Loop

ROOT = Path(__file__).parents[3]
Run = Callable[..., subprocess.CompletedProcess[str]]


def write(loop: Loop, folder: Path, *, speedup: float = 1.0) -> None:
    """All four files, as `kontinual render` writes them."""
    urls = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(_SERVICES, start=9000)}
    (folder / "predictors.json").write_text("[]")
    (folder / "token").write_text("secret")
    for name, text in {
        "rules.yml": render_rules(loop, speedup=speedup),
        "rules_test.yml": render_rules_test(loop, speedup=speedup),
        "prometheus.yml": render_prometheus(loop, **urls, speedup=speedup),
        "alertmanager.yml": render_alertmanager(
            loop, trigger_url=urls["trigger"], token_file=folder / "token", speedup=speedup
        ),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")


_SERVICES = ("collector", "trigger", "envoy", "alertmanager")


def changed(loop: Loop, **monitoring: Any) -> Loop:
    declared = loop.model_dump(by_alias=True)
    declared["monitoring"] |= monitoring
    return Loop.model_validate(declared)


@pytest.mark.parametrize("speedup", [1.0, 86400.0])
def test_the_checkers_accept_every_file(
    loop: Loop, run: Run, tmp_path: Path, speedup: float
) -> None:
    write(loop, tmp_path, speedup=speedup)
    config = run("promtool", "check", "config", "prometheus.yml", cwd=tmp_path)
    assert config.returncode == 0, config.stderr
    assert "WARNING" not in config.stdout
    alerting = run("amtool", "check-config", "alertmanager.yml", cwd=tmp_path)
    assert alerting.returncode == 0, alerting.stderr


@pytest.mark.parametrize("speedup", [1.0, 86400.0])
def test_each_alert_of_the_example_fires_when_it_should_and_only_then(
    loop: Loop, run: Run, tmp_path: Path, speedup: float
) -> None:
    write(loop, tmp_path, speedup=speedup)
    suite = run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path)
    assert suite.returncode == 0, suite.stdout + suite.stderr


def test_the_suite_holds_for_other_windows_holds_and_thresholds(
    loop: Loop, run: Run, tmp_path: Path
) -> None:
    alerts = [
        {
            "kind": kind.value,
            "threshold": 0.5,
            "window": window,
            "for": hold,
            "min_rows": rows,
        }
        for kind, window, hold, rows in zip(
            AlertKind,
            ["10s", "1m", "1h", "6h", "1d", "7d", "90d", "30d", "2h", "1h", "1d", "30s"],
            ["0s", "1s", "10m", "0s", "2h", "0s", "7m", "0s", "1m", "5m", "0s", "0s"],
            [1, 2, 10, 10_000, 3, 50, *[1] * 6],
            strict=True,
        )
    ]
    write(changed(loop, alerts=alerts), tmp_path)
    suite = run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path)
    assert suite.returncode == 0, suite.stdout + suite.stderr


SABOTAGE = {
    "a threshold that nothing reaches": (
        {"kind": "quality_decay", "threshold": 0.02},
        'kontinual:quality_decay:value{model="flights"} > 0.02',
        "kontinual:quality_decay:value > 9",
    ),
    "a version that is not the champion": (
        {"kind": "model_age", "threshold": 120},
        'and on (model, version) kontinual_champion_info{model="flights"}',
        "",
    ),
    "too few rows": (
        {"kind": "prediction_drift", "threshold": 0.2},
        ">= 500",
        ">= 0",
    ),
    "a missing reference": (
        {"kind": "feature_drift", "threshold": 0.2},
        "kontinual_reference_feature_share",
        "kontinual_no_such_share",
    ),
    "an alert that does not hold": (
        {"kind": "low_confidence", "threshold": 0.1, "for": "7d"},
        "for: 1w",
        "for: 0s",
    ),
    "an area without what lies below": (
        {"kind": "quality_decay", "threshold": 0.02},
        '(increase(kontinual_outcome_negatives_below_total{model="flights"}[4w2d]))',
        '(increase(kontinual_outcome_negatives_below_total{model="flights"}[4w2d])) * 0',
    ),
    "anomalies that wait for answered rows": (
        {"kind": "input_anomalies", "threshold": 0.02},
        ' + sum by (model, version) (increase(kontinual_anomalous_requests_total{model="flights"}'
        "[4w2d]))",
        "",
    ),
    "groups that are not compared": (
        {"kind": "group_bias", "threshold": 0.2},
        "- min by (model, version, slice)",
        "- max by (model, version, slice)",
    ),
    "triggers that wait unseen": (
        {"kind": "trigger_waiting", "threshold": 300},
        "max by (model) (kontinual_trigger_undecided_seconds",
        "min by (job) (kontinual_trigger_undecided_seconds",
    ),
    "other failures taken for launches": (
        {"kind": "launch_failures", "threshold": 3, "window": "1h"},
        'kind="launch"',
        'kind="ledger"',
    ),
    "a ledger whose failures are not counted": (
        {"kind": "ledger_errors", "threshold": 0, "window": "1h"},
        'kind="ledger"',
        'kind="other"',
    ),
    "predictors of another loop": (
        {"kind": "service_down", "threshold": 0},
        'up{job="predictor", loop="flights"}',
        'up{job="predictor"}',
    ),
    "predictors that are expected before there is a version": (
        {"kind": "service_down", "threshold": 0},
        ' and on () kontinual_champion_info{model="flights"}',
        "",
    ),
    "a champion without a predictor": (
        {"kind": "service_down", "threshold": 0},
        'sum(absent(up{job="predictor", loop="flights"}))',
        'sum(absent(up{job="envoy"}))',
    ),
    "a service that is overlooked": (
        {"kind": "service_down", "threshold": 0},
        '1 - up{job="envoy"}',
        '0 * up{job="envoy"}',
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_the_suite_notices(loop: Loop, run: Run, tmp_path: Path, name: str) -> None:
    """The suite itself is tested: each of these mistakes in the rules makes it fail."""
    alert, right, wrong = SABOTAGE[name]
    write(changed(loop, alerts=[alert]), tmp_path)
    assert run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path).returncode == 0
    rules = (tmp_path / "rules.yml").read_text(encoding="utf-8")
    assert right in rules
    (tmp_path / "rules.yml").write_text(rules.replace(right, wrong), encoding="utf-8")
    suite = run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path)
    assert suite.returncode != 0
    assert "FAILED" in suite.stdout + suite.stderr


def test_a_threshold_out_of_reach_shows_in_the_loops_own_suite(
    loop: Loop, run: Run, tmp_path: Path
) -> None:
    write(changed(loop, alerts=[{"kind": "quality_decay", "threshold": 1.5}]), tmp_path)
    suite = run("promtool", "test", "rules", "rules_test.yml", cwd=tmp_path)
    assert suite.returncode != 0
    assert "KontinualQualityDecay" in suite.stdout + suite.stderr


def test_every_query_of_the_runbook_is_promql(run: Run, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```promql\n(.*?)```", text, flags=re.DOTALL)
    queries = [line.partition(" # ")[0].strip() for b in blocks for line in b.splitlines()]
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    assert len(rules) > 20
    tree = {"groups": [{"name": "runbook", "rules": rules}]}
    (tmp_path / "runbook.yml").write_text(json.dumps(tree), encoding="utf-8")
    check = run("promtool", "check", "rules", "runbook.yml", cwd=tmp_path)
    assert check.returncode == 0, check.stderr


def test_every_query_of_the_dashboard_is_promql(loop: Loop, run: Run, tmp_path: Path) -> None:
    shown = dashboard(loop)
    queries = [t["expr"] for p in shown["panels"] for t in p.get("targets", [])]
    queries += [mark["expr"] for mark in shown["annotations"]["list"]]
    rules = [{"record": f"panel:query:{i}", "expr": expr} for i, expr in enumerate(queries)]
    (tmp_path / "panels.yml").write_text(
        json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8"
    )
    checked = run("promtool", "check", "rules", "panels.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(queries)} rules found" in checked.stdout


def test_the_checkers_accept_what_the_operator_makes_of_the_resources(
    loop: Loop, run: Run, tmp_path: Path
) -> None:
    yaml = YAML(typ="safe")
    trees = {n: yaml.load(t) for n, t in render_kubeflow(loop, Cluster("team")).items()}
    groups = trees["prometheusrule.yaml"]["spec"]
    (tmp_path / "rules.yml").write_text(json.dumps(groups), encoding="utf-8")
    rules = run("promtool", "check", "rules", "rules.yml", cwd=tmp_path)
    assert rules.returncode == 0, rules.stdout + rules.stderr
    (tmp_path / "alertmanager.yml").write_text(
        json.dumps(as_alertmanager_config(trees["alertmanagerconfig.yaml"])), encoding="utf-8"
    )
    (tmp_path / "token").write_text("secret")
    config = run("amtool", "check-config", "alertmanager.yml", cwd=tmp_path)
    assert config.returncode == 0, config.stderr
    routed = run(
        *("amtool", "config", "routes", "test", "--config.file=alertmanager.yml"),
        *("model=flights", "namespace=team", "kind=quality_decay"),
        cwd=tmp_path,
    )
    assert routed.stdout.strip() == "team/kontinual-flights/trigger"


def as_alertmanager_config(resource: dict[str, Any]) -> dict[str, Any]:
    """What the operator writes: names in snake case, receivers and routes of their namespace."""

    def snake(tree: Any) -> Any:
        if isinstance(tree, list):
            return [snake(value) for value in tree]
        if isinstance(tree, dict):
            return {
                re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", k): snake(v) for k, v in tree.items()
            }
        return tree

    spec = snake(resource["spec"])
    (receiver,) = spec["receivers"]
    authorization = receiver["webhook_configs"][0]["http_config"]["authorization"]
    del authorization["credentials"]
    authorization["credentials_file"] = "token"
    receiver["name"] = f"team/{resource['metadata']['name']}/{receiver['name']}"
    matchers = [f'{m["name"]}{m["match_type"]}"{m["value"]}"' for m in spec["route"]["matchers"]]
    route = {
        **spec["route"],
        "receiver": receiver["name"],
        "matchers": [*matchers, 'namespace="team"'],
    }
    return {
        "route": {"receiver": "null", "routes": [route]},
        "receivers": [{"name": "null"}, receiver],
    }
