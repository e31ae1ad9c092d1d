"""An overlay of ours, applied as a user does, and waited for."""

from collections.abc import Iterable
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.machine import ROOT, wait_until

__all__ = ["apply", "as_known", "resources", "wait_ready"]

Json = dict[str, Any]
READY_SECONDS = 600
RESTARTS = 3
# Of kinds whose version here is too new for Kubernetes 1.20, the one it knows; fields are the same.
OLDER = {"policy/v1": "policy/v1beta1"}


def resources(kubectl: Kubectl, name: str) -> list[Json]:
    """What `kubectl apply -k manifests/overlays/NAME` sends."""
    return kubectl.kustomize(ROOT / "manifests/overlays" / name)


def as_known(found: Iterable[Json], versions: set[str]) -> list[Json]:
    """The same resources in versions that the API server knows."""
    return [
        resource | {"apiVersion": OLDER[resource["apiVersion"]]}
        if resource["apiVersion"] in OLDER and resource["apiVersion"] not in versions
        else resource
        for resource in found
    ]


def apply(kubectl: Kubectl, name: str) -> list[str]:
    """Apply an overlay; a line for each resource says what became of it."""
    wanted = as_known(resources(kubectl, name), kubectl.versions())
    return kubectl.apply(wanted).splitlines()


def wait_ready(kubectl: Kubectl, namespace: str, *deployments: str) -> None:
    """Wait until every pod of some Deployments is ready; else say how they are."""
    for deployment in deployments:
        wait_until(
            lambda name=deployment: _is_ready(kubectl, namespace, name),
            f"{namespace}/{deployment} is not ready",
            seconds=READY_SECONDS,
            pause=1,
        )


def _is_ready(kubectl: Kubectl, namespace: str, deployment: str) -> bool:
    found = kubectl.get("deployment", deployment, namespace=namespace)
    selector = f"app.kubernetes.io/name={deployment}"
    pods = kubectl.get("pods", namespace=namespace, selector=selector)["items"]
    states = [s for pod in pods for s in pod["status"].get("containerStatuses", [])]
    if any(state["restartCount"] >= RESTARTS for state in states):
        told = kubectl("logs", "-n", namespace, "-l", selector, "--tail=40", ok=False)
        ends = [state.get("lastState") for state in states]
        raise AssertionError(f"{namespace}/{deployment} ends again and again: {ends}\n{told}")
    status = found["status"]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(seen and status.get("readyReplicas") == found["spec"]["replicas"])
