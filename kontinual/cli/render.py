"""`kontinual render`: everything that is made from a declaration."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kontinual.errors import SpecError
from kontinual.home import settings_of
from kontinual.monitoring import (
    Cluster,
    dashboard,
    render_alertmanager,
    render_kubeflow,
    render_prometheus,
    render_rules,
    render_rules_test,
)
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop
from kontinual.spec.hosts import check_hosts

__all__ = ["app"]

app = typer.Typer(add_completion=False)


class Target(StrEnum):
    """Where the rendered files are to be used."""

    LOCAL = "local"
    KUBEFLOW = "kubeflow"


@app.command()
def render(
    loop: Annotated[Path, typer.Argument(metavar="LOOP", help="path of loop.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder; created when absent")],
    target: Annotated[Target, typer.Option(help="where they are used")] = Target.LOCAL,
    speedup: Annotated[
        float | None,
        typer.Option(min=1, help="how many times faster than the clock; default KONTINUAL_SPEEDUP"),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="kubeflow: the profile's; default KONTINUAL_KFP_NAMESPACE")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="kubeflow: NAME=VALUE on each resource, such as release=prometheus"),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(help="kubeflow: URL of the trigger; default: its Service")
    ] = None,
    champion: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="VERSION URI",
            help="kubeflow: serve this version of the model, whose package is there; "
            "default: the first rollout makes the InferenceService",
        ),
    ] = None,
) -> None:
    """Render all that a loop needs, from its declaration alone.

    For `local`: rules.yml and its suite, prometheus.yml, alertmanager.yml, Grafana's dashboard,
    Envoy's files. Check them with `promtool check config prometheus.yml`, `promtool test rules
    rules_test.yml` and `amtool check-config alertmanager.yml`.

    For `kubeflow`: PrometheusRule, AlertmanagerConfig, PodMonitor, the dashboard's ConfigMap, the
    InferenceService where a champion is named, and a kustomization: `kubectl apply -k DIR`.
    """
    declaration, settings, folder = load_loop(str(loop)), settings_of(loop), out.resolve()
    if target is Target.KUBEFLOW:
        cluster = _cluster(settings, namespace, label or [], trigger)
        check_hosts(declaration.name, cluster.namespace, settings.kserve_mode)
        served = _inference_service(declaration, cluster, champion)
        rendered = render_kubeflow(declaration, cluster, inference_service=served)
    else:
        rendered = _local(declaration, settings, speedup or settings.speedup, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rendered.items():
            _write(folder / name, text)
            print(f"{out / name}")
        if target is Target.LOCAL:
            _write_envoy(settings, folder / "envoy")
            print(f"{out / 'envoy/'}")
    except OSError as exc:
        raise SpecError(f"--out {out}: can not be written: {exc}") from exc
    print(f"rendered loop {declaration.name} for target {target.value}")


def _cluster(
    settings: Settings, namespace: str | None, labels: list[str], trigger: str | None
) -> Cluster:
    chosen = namespace or settings.kfp_namespace
    if chosen is None:
        raise SpecError("--target kubeflow needs --namespace, or KONTINUAL_KFP_NAMESPACE")
    pairs = [text.partition("=") for text in labels]
    wrong = [name + sign + value for name, sign, value in pairs if not (name and value)]
    if wrong:
        raise SpecError(f"--label is NAME=VALUE, but got {wrong[0]!r}")
    return Cluster(chosen, labels={name: value for name, _, value in pairs}, trigger=trigger)


def _inference_service(
    loop: Loop, cluster: Cluster, champion: tuple[str, str] | None
) -> dict[str, Any] | None:
    if champion is None:
        return None
    from kontinual.rollout.kserve import inference_service

    version, storage_uri = champion
    return inference_service(loop, version, storage_uri, collector=cluster.collector)


def _local(loop: Loop, settings: Settings, speedup: float, folder: Path) -> dict[str, str]:
    shown = dashboard(loop, speedup=speedup)
    return {
        "rules.yml": render_rules(loop, speedup=speedup),
        "rules_test.yml": render_rules_test(loop, speedup=speedup),
        "prometheus.yml": render_prometheus(
            loop,
            collector=settings.collector,
            trigger=settings.trigger,
            envoy=settings.gateway_admin,
            alertmanager=settings.alertmanager,
            speedup=speedup,
        ),
        "alertmanager.yml": render_alertmanager(
            loop, trigger_url=settings.trigger, token_file=folder / "token", speedup=speedup
        ),
        "dashboard.json": json.dumps(shown, indent=1, ensure_ascii=False) + "\n",
    }


def _write(path: Path, text: str) -> None:
    """Write a whole file or none."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _write_envoy(settings: Settings, folder: Path) -> None:
    """Envoy's files, by the code that moves them later; files with weights in them stay."""
    from kontinual.local.ports import address_of
    from kontinual.rollout.envoy_config import prepare_envoy

    _, listen_port = address_of(settings.gateway_url, setting="KONTINUAL_GATEWAY_URL")
    host, admin_port = address_of(settings.gateway_admin, setting="KONTINUAL_GATEWAY_ADMIN")
    prepare_envoy(admin_port=admin_port, listen_port=listen_port, host=host, folder=folder)
