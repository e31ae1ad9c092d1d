import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from components import images
from kontinual.cluster.kfp.connection import TOKEN_FILE
from kontinual.collector import __main__ as collector
from kontinual.monitoring.kubeflow import (
    COLLECTOR_PORT,
    PREDICTOR_PORT,
    TRIGGER_PORT,
    Cluster,
)
from kontinual.rollout.kserve import inference_service
from kontinual.serving.main import application
from kontinual.settings import OBJECT_STORE_SECRET, Settings
from kontinual.spec import load_loop
from kontinual.trigger import __main__ as trigger
from kontinual.trigger.server import OPEN_SECONDS
from tests.unit.manifests.conftest import MANIFESTS, OVERLAYS, Overlay, build

LOOP = load_loop(str(MANIFESTS.parent / "examples" / "flights" / "loop.yaml"))
OURS = {images.CONTROL, images.SERVE, images.TRAIN}


def container(overlay: Overlay, pod: str) -> dict[str, Any]:
    (one,) = dict(overlay.pods())[pod]["containers"]
    return dict(one)


def settings_of(overlay: Overlay) -> dict[str, str]:
    return dict(overlay.one("ConfigMap", "kontinual-settings")["data"])


def test_every_image_is_one_that_make_images_builds(overlay: Overlay) -> None:
    named = {c["image"] for _, pod in overlay.pods() for c in pod["containers"]}
    named.add(settings_of(overlay)["KONTINUAL_TRAIN_IMAGE"])
    assert named == OURS


def test_every_setting_is_one_that_we_read(
    overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {f"KONTINUAL_{name.upper()}" for name in Settings.model_fields}
    given = settings_of(overlay)
    for pod in ("kontinual-trigger", "kontinual-collector"):
        given |= {e["name"]: e.get("value", "x") for e in container(overlay, pod).get("env", [])}
    ours = {key for key in given if key.startswith("KONTINUAL_")}
    assert ours - known == {"KONTINUAL_LOOP"}, "the one that stands in the services' arguments"
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    read = Settings()
    assert (read.launcher, read.gateway, read.tuner) == ("kfp", "kserve", "katib")


def test_the_services_are_started_as_their_command_lines_want_it(overlay: Overlay) -> None:
    commands = {
        "kontinual-trigger": (trigger.main, "kontinual.trigger"),
        "kontinual-collector": (collector.serve, "kontinual.collector"),
    }
    for pod, (function, module) in commands.items():
        one = container(overlay, pod)
        assert one["command"] == ["python", "-m", module]
        app = typer.Typer(add_completion=False)
        app.command()(function)
        context = typer.main.get_command(app).make_context(module, list(one["args"]))
        assert context.params["port"] == one["ports"][0]["containerPort"]
        assert context.params["host"] == "0.0.0.0"  # noqa: S104 - in a pod
    runtime = container(overlay, "runtime kontinual")
    serving = typer.main.get_command(application())
    model = inference_service(LOOP, "3", "s3://x", collector="http://c")["spec"]["predictor"][
        "model"
    ]
    assert model["runtime"] == overlay.of("ClusterServingRuntime")[0]["metadata"]["name"]
    # KServe appends the arguments of the InferenceService to those of the runtime.
    context = serving.make_context("serving", [*runtime["args"], *model["args"]])
    assert (context.params["version"], context.params["collector"]) == ("3", "http://c")
    assert context.params["port"] == runtime["ports"][0]["containerPort"] == PREDICTOR_PORT
    assert context.params["package"] == Path("/mnt/models"), "where KServe puts a model"


def test_every_variable_of_an_argument_is_given(overlay: Overlay) -> None:
    given = settings_of(overlay).keys()
    for _, pod in overlay.pods():
        for one in pod["containers"]:
            own = {e["name"] for e in one.get("env", [])}
            wanted = set(re.findall(r"\$\((\w+)\)", " ".join(one["args"])))
            assert wanted <= given | own


def test_addresses_of_ours_lead_to_services_that_lead_to_pods(overlay: Overlay) -> None:
    services = {s["metadata"]["name"]: s["spec"] for s in overlay.of("Service")}
    settings = settings_of(overlay)
    for url in (settings["KONTINUAL_COLLECTOR"], settings["KONTINUAL_TRIGGER"]):
        name, port = url.removeprefix("http://").split(":")
        assert services[name]["ports"][0]["port"] == int(port)
        pod = overlay.one("Deployment", name)["spec"]["template"]
        assert services[name]["selector"].items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["containers"][0]["ports"][0] == {
            "name": services[name]["ports"][0]["targetPort"],
            "containerPort": int(port),
        }
    assert Cluster("n").webhook.startswith(f"http://kontinual-trigger.n.svc:{TRIGGER_PORT}/")


def test_prometheus_finds_the_services_under_the_names_that_the_rules_know(
    overlay: Overlay,
) -> None:
    jobs = set()
    for monitor in overlay.of("ServiceMonitor"):
        service = overlay.one("Service", monitor["metadata"]["name"])
        assert monitor["spec"]["selector"]["matchLabels"].items() <= (
            service["metadata"]["labels"].items()
        )
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {p["name"] for p in service["spec"]["ports"]}
        jobs |= {r["replacement"] for r in endpoint["relabelings"] if r["targetLabel"] == "job"}
    assert jobs == {"trigger", "collector"}


def test_istio_lets_prometheus_in_to_every_metrics_page_and_alertmanager_to_the_webhook(
    kubeflow: Overlay,
) -> None:
    def operation(name: str) -> dict[str, Any]:
        (rule,) = kubeflow.one("AuthorizationPolicy", name)["spec"]["rules"]
        (to,) = rule["to"]
        return dict(to["operation"])

    metrics = operation("kontinual-metrics")
    assert metrics["paths"] == ["/metrics"]
    assert metrics["ports"] == [str(p) for p in (PREDICTOR_PORT, COLLECTOR_PORT, TRIGGER_PORT)]
    alerts = operation("kontinual-alerts")
    assert Cluster("n").webhook.endswith(alerts["paths"][0])
    assert alerts["ports"] == [str(TRIGGER_PORT)]
    # Predictors have the label as well: KServe gives its pods those of the InferenceService.
    served = inference_service(LOOP, "3", "s3://x")["metadata"]["labels"]
    selector = kubeflow.one("AuthorizationPolicy", "kontinual-metrics")["spec"]["selector"]
    assert selector["matchLabels"].items() <= served.items()


def test_a_node_can_be_drained(overlay: Overlay) -> None:
    for deployment in overlay.of("Deployment"):
        budget = overlay.one("PodDisruptionBudget", deployment["metadata"]["name"])["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == deployment["spec"]["selector"]


def test_two_processes_never_write_to_one_file(overlay: Overlay) -> None:
    """A ledger or store in a file: one replica, and the old one goes before the new one comes."""
    for deployment in overlay.of("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        if any("persistentVolumeClaim" in volume for volume in pod["volumes"]):
            assert deployment["spec"]["replicas"] == 1
            assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        else:
            (ledger,) = [e for e in pod["containers"][0]["env"] if e["name"] == "KONTINUAL_LEDGER"]
            assert ledger["valueFrom"]["secretKeyRef"]["name"] == "kontinual-ledger"


def test_the_trigger_has_a_token_for_kubeflow_pipelines_and_may_start_runs(
    kubeflow: Overlay,
) -> None:
    (binding,) = [
        b for b in kubeflow.of("RoleBinding") if b["roleRef"]["name"] == "kubeflow-pipelines-edit"
    ]
    assert binding["subjects"][0]["name"] == "kontinual-trigger"
    pod = dict(kubeflow.pods())["kontinual-trigger"]
    (volume,) = [v for v in pod["volumes"] if "projected" in v]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == volume["name"]]
    assert f"{mount['mountPath']}/{source['serviceAccountToken']['path']}" == str(TOKEN_FILE)


def test_what_is_of_the_whole_cluster_is_in_no_namespace(overlay: Overlay) -> None:
    for resource in overlay.resources:
        of_cluster = resource["kind"] == "ClusterServingRuntime"
        assert ("namespace" in resource["metadata"]) is not of_cluster, resource["kind"]


def test_a_trigger_without_its_database_is_not_started_anew(overlay: Overlay) -> None:
    one = container(overlay, "kontinual-trigger")
    assert one["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert one["readinessProbe"]["httpGet"]["path"] == "/healthz"
    starting = one["startupProbe"]
    assert starting["httpGet"]["path"] == "/livez"
    assert starting["periodSeconds"] * starting["failureThreshold"] > OPEN_SECONDS + 60


def test_models_are_fetched_by_the_account_that_holds_the_object_stores_secret(
    overlay: Overlay,
) -> None:
    made = inference_service(LOOP, "3", "s3://x")["spec"]["predictor"]
    account = overlay.one("ServiceAccount", made["serviceAccountName"])
    assert account["secrets"] == [{"name": OBJECT_STORE_SECRET}]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_place_of_each_image_is_one_line_of_a_kustomization(name: str, tmp_path: Path) -> None:
    """Also of the trials' image, which is a setting, and of the predictors'."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    overlay = tmp_path / "manifests" / "overlays" / name
    for file in overlay.rglob("kustomization.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("newName: kontinual/", "newName: r.example/"), "utf-8")
    built = build(overlay)
    named = {c["image"] for _, pod in built.pods() for c in pod["containers"]}
    named.add(settings_of(built)["KONTINUAL_TRAIN_IMAGE"])
    wanted = {i.replace("kontinual/", "r.example/") for i in OURS}
    assert named == wanted


@pytest.mark.parametrize("folder", ["kubeflow/profile", "standalone/namespace"])
def test_another_namespace_is_one_line(folder: str, tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    overlay = tmp_path / "manifests" / "overlays" / folder
    file = overlay / "kustomization.yaml"
    changed, lines = re.subn(
        "^namespace: .*$", "namespace: team", file.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert lines == 1
    file.write_text(changed, encoding="utf-8")
    resources = build(overlay).resources
    assert {r["metadata"]["namespace"] for r in resources} == {"team"}
    subjects = [s for r in resources if r["kind"] == "RoleBinding" for s in r["subjects"]]
    assert {s["namespace"] for s in subjects} == {"team"}
    (settings,) = [r["data"] for r in resources if r["kind"] == "ConfigMap"]
    assert settings.get("KONTINUAL_KFP_NAMESPACE", "team") == "team"
