"""What Prometheus Operator makes of our resources: the configuration of a Prometheus, and of an
Alertmanager, both running on this machine.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from tests.cluster.discovery import plain
from tests.cluster.machine import HOST, program, server

__all__ = ["alertmanager", "alertmanager_config", "prometheus", "prometheus_config"]

Json = dict[str, Any]
CAMEL = {
    "groupBy": "group_by",
    "groupWait": "group_wait",
    "groupInterval": "group_interval",
    "repeatInterval": "repeat_interval",
}


def prometheus_config(resources: Iterable[Json]) -> Json:
    """A configuration by PodMonitors, ServiceMonitors and PrometheusRules, these in one file."""
    found = list(resources)
    jobs = [
        _job(monitor, number, endpoint)
        for monitor in found
        if monitor["kind"] in {"PodMonitor", "ServiceMonitor"}
        for number, endpoint in enumerate(_endpoints(monitor))
    ]
    managers = [{"static_configs": [{"targets": [f"{HOST}:9093"]}]}]
    return {
        "global": {"scrape_interval": "30s"},
        "rule_files": ["rules.json"],
        "alerting": {"alertmanagers": managers},
        "scrape_configs": jobs,
    }


def rules(resources: Iterable[Json]) -> Json:
    """The groups of all PrometheusRules."""
    return {
        "groups": [
            g for r in resources if r["kind"] == "PrometheusRule" for g in r["spec"]["groups"]
        ]
    }


def alertmanager_config(resource: Json, credentials: str, addresses: Mapping[str, str]) -> Json:
    """A configuration by one AlertmanagerConfig, which sees alerts of its namespace alone.

    Args:
        resource: of the cluster.
        credentials: what the Secret holds that it names.
        addresses: of Services by the names in its URLs; this machine does not ask the cluster's
            name server.
    """
    namespace, spec = resource["metadata"]["namespace"], resource["spec"]
    matchers = [f'{m["name"]}{m["matchType"]}"{m["value"]}"' for m in spec["route"]["matchers"]]
    route = {new: spec["route"][old] for old, new in CAMEL.items() if old in spec["route"]}
    route |= {"receiver": "trigger", "matchers": [*matchers, f'namespace="{namespace}"']}
    (receiver,) = spec["receivers"]
    (webhook,) = receiver["webhookConfigs"]
    http = {
        "authorization": {"type": "Bearer", "credentials": credentials},
        "follow_redirects": webhook["httpConfig"]["followRedirects"],
    }
    name = urlsplit(webhook["url"]).hostname or ""
    url = webhook["url"].replace(name, addresses[name], 1)
    hook = {"url": url, "send_resolved": webhook["sendResolved"], "http_config": http}
    return {
        "route": {"receiver": "nobody", "routes": [route]},
        "receivers": [{"name": "nobody"}, {"name": "trigger", "webhook_configs": [hook]}],
    }


@contextmanager
def prometheus(folder: Path, resources: list[Json]) -> Iterator[str]:
    """A Prometheus by the cluster's resources, on a folder that `discovery` fills; its URL."""
    (folder / "rules.json").write_text(json.dumps(rules(resources)))
    config = folder / "prometheus.json"
    config.write_text(json.dumps(prometheus_config(resources)))
    checked = [program("promtool"), "check", "config", str(config)]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:9090",
    ]
    url = f"http://{HOST}:9090"
    with server(command, log=folder / "log", ready=f"{url}/-/ready"):
        yield url


@contextmanager
def alertmanager(folder: Path, config: Json) -> Iterator[str]:
    """An Alertmanager; gives its URL."""
    folder.mkdir()
    file = folder / "alertmanager.yml"
    YAML(typ="safe").dump(config, file)
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={HOST}:9093",
        "--cluster.listen-address=",
    ]
    url = f"http://{HOST}:9093"
    with server(command, log=folder / "log", ready=f"{url}/-/ready"):
        yield url


def _endpoints(monitor: Json) -> list[Json]:
    spec = monitor["spec"]
    return list(spec.get("podMetricsEndpoints") or spec["endpoints"])


def _job(monitor: Json, number: int, endpoint: Json) -> Json:
    """The scrape job of one endpoint, with the labels that the operator always adds."""
    meta, pods = monitor["metadata"], monitor["kind"] == "PodMonitor"
    source = "pod" if pods else "service"
    keeps = [
        _keep(f"{source}_label_{plain(label)}", value)
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    if pods:
        keeps.append(_keep("pod_container_port_number", str(endpoint["portNumber"])))
    else:
        keeps.append(_keep("endpoint_port_name", endpoint["port"]))
    added = [
        {"source_labels": [f"__meta_kubernetes_{label}"], "target_label": target}
        for label, target in (
            ("namespace", "namespace"),
            ("pod_name", "pod"),
            ("pod_container_name", "container"),
        )
    ]
    own = [
        {"action": r["action"], "target_label": r["targetLabel"], "replacement": r["replacement"]}
        for r in endpoint.get("relabelings", [])
    ]
    found = {"files": ["pod.json" if pods else "endpoints.json"], "refresh_interval": "1s"}
    return {
        "job_name": f"{monitor['kind']}/{meta['namespace']}/{meta['name']}/{number}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint["path"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "file_sd_configs": [found],
        "relabel_configs": [*keeps, *added, *own],
    }


def _keep(label: str, value: str) -> Json:
    return {"action": "keep", "source_labels": [f"__meta_kubernetes_{label}"], "regex": value}
