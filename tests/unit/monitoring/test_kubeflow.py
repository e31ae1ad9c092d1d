import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from kontinual.cli.render import app
from kontinual.errors import SpecError
from kontinual.monitoring import Cluster, dashboard, render_kubeflow, rule_groups
from kontinual.spec import Loop
from tests.manifests.operator_schemas import OPERATOR_MODELS
from tests.manifests.sdk_schema import mistakes

TEAM = Cluster("team", labels={"release": "prometheus"})


@pytest.fixture(scope="module")
def resources(loop: Loop) -> dict[str, Any]:
    yaml = YAML(typ="safe")
    rendered = {name: yaml.load(text) for name, text in render_kubeflow(loop, TEAM).items()}
    return {tree["kind"]: tree for tree in rendered.values()}


def test_every_resource_passes_its_schema(resources: dict[str, Any]) -> None:
    for kind, tree in resources.items():
        if kind == "ConfigMap":
            kubernetes_validate.validate(tree, "1.31", strict=True)
        elif kind != "Kustomization":
            OPERATOR_MODELS[tree["apiVersion"], kind].model_validate(tree)
    assert resources.keys() - {"Kustomization", "ConfigMap"} == {
        "PrometheusRule",
        "AlertmanagerConfig",
        "PodMonitor",
    }


def test_the_kustomization_names_every_file(loop: Loop) -> None:
    files = render_kubeflow(loop, TEAM)
    listed = YAML(typ="safe").load(files["kustomization.yaml"])["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(files)


def test_every_resource_says_whose_it_is(resources: dict[str, Any]) -> None:
    for kind, tree in resources.items():
        if kind != "Kustomization":
            labels = tree["metadata"]["labels"]
            assert (labels["kontinual.dev/loop"], labels["release"]) == ("flights", "prometheus")


def test_alerts_carry_the_namespace_by_which_the_operator_routes_them(
    loop: Loop, resources: dict[str, Any]
) -> None:
    (group,) = resources["PrometheusRule"]["spec"]["groups"]
    alerts = [rule for rule in group["rules"] if "alert" in rule]
    assert len(alerts) == len(loop.monitoring.alerts)
    assert {rule["labels"]["namespace"] for rule in alerts} == {"team"}
    assert all("namespace" not in rule.get("labels", {}) for rule in group["rules"][:5])


def test_rules_are_those_of_the_laptop_but_for_what_is_up(
    loop: Loop, resources: dict[str, Any]
) -> None:
    (group,) = resources["PrometheusRule"]["spec"]["groups"]
    (local,) = rule_groups(loop)
    named = {rule["expr"] for rule in local["rules"]} - {rule["expr"] for rule in group["rules"]}
    assert all("up{job=" in expr for expr in named)
    assert len(named) == 4, "of the predictors, the collector, the trigger, and Envoy"


def test_the_webhooks_token_is_a_reference_and_nowhere_a_value(resources: dict[str, Any]) -> None:
    spec = resources["AlertmanagerConfig"]["spec"]
    (webhook,) = spec["receivers"][0]["webhookConfigs"]
    assert webhook["url"] == "http://kontinual-trigger.team.svc:8082/api/v1/alerts"
    assert webhook["httpConfig"]["authorization"]["credentials"] == {
        "name": "kontinual-trigger",
        "key": "token",
    }
    assert spec["route"]["matchers"] == [{"name": "model", "matchType": "=", "value": "flights"}]


def test_only_services_of_the_loop_and_its_namespace_count_as_down(
    resources: dict[str, Any],
) -> None:
    (endpoint,) = resources["PodMonitor"]["spec"]["podMetricsEndpoints"]
    labels = {r["targetLabel"]: r["replacement"] for r in endpoint["relabelings"]}
    assert labels == {"job": "predictor", "loop": "flights"}
    (group,) = resources["PrometheusRule"]["spec"]["groups"]
    down = {
        rule["labels"]["service"]: rule["expr"]
        for rule in group["rules"]
        if rule.get("record") == "kontinual:service_down:value"
    }
    assert 'up{job="predictor", namespace="team", loop="flights"}' in down["predictor"]
    assert 'up{job="trigger", namespace="team"}' in down["trigger"]


def test_grafana_finds_the_dashboard_of_the_laptop(loop: Loop, resources: dict[str, Any]) -> None:
    config_map = resources["ConfigMap"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = config_map["data"].values()
    assert json.loads(text) == dashboard(loop)


def test_a_dashboard_that_no_config_map_holds_is_refused(changed: Callable[..., Loop]) -> None:
    with pytest.raises(SpecError, match=r"has 1[0-9]{6} bytes, but a ConfigMap holds 1048576"):
        render_kubeflow(changed(description="x" * 1024 * 1024), TEAM)


def test_the_command_writes_a_folder_for_kubectl(loop_path: Path, tmp_path: Path) -> None:
    arguments = [str(loop_path), "--target", "kubeflow", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--namespace", "team", "--label", "a=b"])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {
        "alertmanagerconfig.yaml",
        "dashboard.yaml",
        "kustomization.yaml",
        "podmonitor.yaml",
        "prometheusrule.yaml",
    }


def test_a_named_champion_is_served(loop_path: Path, tmp_path: Path) -> None:
    arguments = [str(loop_path), "--target", "kubeflow", "-o", str(tmp_path), "--namespace", "team"]
    champion = ["--champion", "3", "s3://models/flights/3-ab"]
    result = CliRunner().invoke(app, [*arguments, *champion], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    yaml = YAML(typ="safe")
    served = yaml.load((tmp_path / "inferenceservice.yaml").read_text(encoding="utf-8"))
    assert mistakes(served, "V1beta1InferenceService") == []
    assert served["spec"]["predictor"]["model"]["storageUri"] == champion[2]
    assert "--collector=http://kontinual-collector:8081" in str(served)
    listed = yaml.load((tmp_path / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert "inferenceservice.yaml" in listed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--namespace", "n" * 60], f"in namespace {'n' * 60} may have 0 letters at most"),
        ([], "needs --namespace, or KONTINUAL_KFP_NAMESPACE"),
        (["--namespace", "team", "--label", "release"], "--label is NAME=VALUE, but got 'release'"),
    ],
)
def test_what_is_missing_is_said_and_nothing_written(
    loop_path: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "out"
    arguments = [str(loop_path), "--target", "kubeflow", "-o", str(out), *options]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert not out.exists()
