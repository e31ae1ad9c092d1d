"""What watches a loop on a cluster, as resources of Prometheus Operator and Grafana's sidecar.

All are made from the declaration; what belongs to the services and not to one loop (their
own monitors, accounts, policies) is in `manifests/`.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from kontinual.errors import SpecError
from kontinual.monitoring.configs import GROUP_BY, route_times
from kontinual.monitoring.dashboard import dashboard
from kontinual.monitoring.document import document
from kontinual.monitoring.rules import rule_groups
from kontinual.monitoring.timing import Timing
from kontinual.spec import LOOP_LABEL, MAX_ALERTS, Loop

__all__ = ["CLUSTER_SERVICES", "Cluster", "loop_resources", "render_kubeflow"]

# What has to answer; the gateway belongs to the cluster, and is watched with it.
CLUSTER_SERVICES = ("predictor", "collector", "trigger")
PREDICTOR_PORT = 8080
COLLECTOR_PORT = 8081
TRIGGER_PORT = 8082


@dataclass(frozen=True)
class Cluster:
    """Where a loop lives.

    Args:
        namespace: of the profile.
        labels: put on every resource, such as the one that Prometheus selects rules by.
        trigger: URL of the trigger; the Service of `manifests/` when left out.
        token_secret: name of the Secret with the trigger's token.
        token_key: of the token in it.
    """

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    trigger: str | None = None
    token_secret: str = "kontinual-trigger"  # noqa: S105 - a name
    token_key: str = "token"  # noqa: S105 - a name

    @property
    def collector(self) -> str:
        return f"http://kontinual-collector:{COLLECTOR_PORT}"

    @property
    def webhook(self) -> str:
        base = self.trigger or f"http://kontinual-trigger.{self.namespace}.svc:{TRIGGER_PORT}"
        return f"{base.rstrip('/')}/api/v1/alerts"


def render_kubeflow(
    loop: Loop, cluster: Cluster, *, inference_service: dict[str, Any] | None = None
) -> dict[str, str]:
    """The files of a loop for `kubectl apply -k`: name → YAML.

    Args:
        loop: the declaration.
        cluster: where it lives.
        inference_service: of the first champion, where one is to be made by hand; the pipeline's
            rollout makes it otherwise.

    Raises:
        SpecError: the dashboard is too large for a ConfigMap.
    """
    resources = loop_resources(loop, cluster)
    if inference_service is not None:
        resources["inferenceservice.yaml"] = inference_service
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": cluster.namespace,
        "resources": list(resources),
    }
    files = {**resources, "kustomization.yaml": kustomization}
    return {name: document(tree, loop=loop.name) for name, tree in files.items()}


def loop_resources(loop: Loop, cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Each resource under the name of its file."""
    return {
        "prometheusrule.yaml": _prometheus_rule(loop, cluster),
        "alertmanagerconfig.yaml": _alertmanager_config(loop, cluster),
        "podmonitor.yaml": _pod_monitor(loop, cluster),
        "dashboard.yaml": _dashboard(loop, cluster),
    }


def _prometheus_rule(loop: Loop, cluster: Cluster) -> dict[str, Any]:
    groups = rule_groups(loop, services=CLUSTER_SERVICES, namespace=cluster.namespace)
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                # The operator lets an AlertmanagerConfig see its own namespace's alerts alone.
                rule["labels"]["namespace"] = cluster.namespace
    return _resource("monitoring.coreos.com/v1", "PrometheusRule", loop, cluster, groups=groups)


def _alertmanager_config(loop: Loop, cluster: Cluster) -> dict[str, Any]:
    times = {_camel(key): value for key, value in route_times(Timing(loop)).items()}
    route = {
        "receiver": "trigger",
        "groupBy": GROUP_BY,
        "matchers": [{"name": "model", "matchType": "=", "value": loop.name}],
        **times,
    }
    credentials = {"name": cluster.token_secret, "key": cluster.token_key}
    webhook = {
        "url": cluster.webhook,
        "sendResolved": True,
        "maxAlerts": MAX_ALERTS,
        "httpConfig": {
            "authorization": {"type": "Bearer", "credentials": credentials},
            "followRedirects": False,
        },
    }
    receivers = [{"name": "trigger", "webhookConfigs": [webhook]}]
    return _resource(
        "monitoring.coreos.com/v1alpha1",
        "AlertmanagerConfig",
        loop,
        cluster,
        route=route,
        receivers=receivers,
    )


def _pod_monitor(loop: Loop, cluster: Cluster) -> dict[str, Any]:
    """Every predictor of the loop, stable and canary; `version` is a label of our own metrics."""
    endpoint = {
        "portNumber": PREDICTOR_PORT,
        "path": "/metrics",
        "interval": Timing.text(Timing(loop).scrape),
        "honorLabels": True,
        "relabelings": [
            {"action": "replace", "targetLabel": label, "replacement": value}
            for label, value in (("job", "predictor"), ("loop", loop.name))
        ],
    }
    return _resource(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        loop,
        cluster,
        selector={"matchLabels": {"serving.kserve.io/inferenceservice": loop.name}},
        podMetricsEndpoints=[endpoint],
    )


def _dashboard(loop: Loop, cluster: Cluster) -> dict[str, Any]:
    """Grafana's sidecar looks for the label, and takes every key of the data for a dashboard."""
    text = json.dumps(dashboard(loop), indent=1, ensure_ascii=False)
    limit = 1024 * 1024
    if len(text.encode()) > limit:
        raise SpecError(
            f"the dashboard of loop {loop.name} has {len(text.encode())} bytes, "
            f"but a ConfigMap holds {limit}: shorten `description`"
        )
    tree = _resource("v1", "ConfigMap", loop, cluster)
    tree["metadata"]["labels"]["grafana_dashboard"] = "1"
    del tree["spec"]
    return {**tree, "data": {f"kontinual-{loop.name}.json": text + "\n"}}


def _resource(
    api_version: str, kind: str, loop: Loop, cluster: Cluster, **spec: Any
) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/part-of": "kontinual",
        LOOP_LABEL: loop.name,
        **cluster.labels,
    }
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": f"kontinual-{loop.name}", "labels": labels},
        "spec": spec,
    }


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)
