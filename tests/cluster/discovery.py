"""Prometheus' discovery of pods and endpoints in files: Debian's build has no Kubernetes in it.

The labels are those that Prometheus itself gives to what it finds, so the relabelings that
Prometheus Operator makes of monitors work as they stand.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from kontinual.rollout.envoy_config import write_moved
from tests.repeating import repeating

__all__ = ["discovery", "plain"]

Json = dict[str, Any]
PAUSE_SECONDS = 1.0


@contextmanager
def discovery(client: ApiClient, namespace: str, folder: Path) -> Iterator[None]:
    """Keep FOLDER/pod.json and FOLDER/endpoints.json as long as the block lasts."""
    core = CoreV1Api(client)

    def look() -> None:
        pods = client.sanitize_for_serialization(core.list_namespaced_pod(namespace))["items"]
        _write(folder / "pod.json", [t for pod in pods for t in _of_pod(pod)])
        services = client.sanitize_for_serialization(core.list_namespaced_service(namespace))
        labels = {s["metadata"]["name"]: s["metadata"].get("labels") for s in services["items"]}
        found = client.sanitize_for_serialization(core.list_namespaced_endpoints(namespace))
        targets = [t for e in found["items"] for t in _of_endpoints(e, labels)]
        _write(folder / "endpoints.json", targets)

    look()
    with repeating(look, pause=PAUSE_SECONDS, name="discovery"):
        yield


def _of_pod(pod: Json) -> Iterator[Json]:
    address = pod.get("status", {}).get("podIP")
    for container in pod["spec"]["containers"] if address else []:
        for port in container.get("ports", []):
            number = str(port["containerPort"])
            yield _target(
                f"{address}:{number}",
                namespace=pod["metadata"]["namespace"],
                pod_name=pod["metadata"]["name"],
                pod_container_name=container["name"],
                pod_container_port_number=number,
                **_labels("pod", pod["metadata"].get("labels")),
            )


def _of_endpoints(endpoints: Json, labels: dict[str, Any]) -> Iterator[Json]:
    meta = endpoints["metadata"]
    for subset in endpoints.get("subsets") or []:
        for address in subset.get("addresses") or []:
            for port in subset["ports"]:
                yield _target(
                    f"{address['ip']}:{port['port']}",
                    namespace=meta["namespace"],
                    pod_name=(address.get("targetRef") or {}).get("name", ""),
                    endpoint_port_name=port.get("name", ""),
                    **_labels("service", labels.get(meta["name"])),
                )


def _target(address: str, **labels: str) -> Json:
    meta = {f"__meta_kubernetes_{name}": value for name, value in labels.items()}
    return {"targets": [address], "labels": meta}


def _labels(of: str, labels: dict[str, str] | None) -> dict[str, str]:
    return {f"{of}_label_{plain(name)}": value for name, value in (labels or {}).items()}


def plain(label: str) -> str:
    """A label's name as Prometheus writes it."""
    return "".join(c if c.isalnum() else "_" for c in label)


def _write(file: Path, targets: list[Json]) -> None:
    text = json.dumps(targets)
    if not file.exists() or file.read_text() != text:
        write_moved(file, text)
