"""Our manifests on a cluster: taken as they are, ready, with their own rights and no other."""

from pathlib import Path

import httpx
import pytest
from kubernetes.client import ApiClient

from tests.cluster import outside, overlay
from tests.cluster.imitation.pipelines import ReviewingServer
from tests.cluster.kubectl import Kubectl, can
from tests.cluster.outside import PROFILE, STANDALONE, TOKEN

SERVICES = ("kontinual-trigger", "kontinual-collector")
PORTS = {"kontinual-trigger": 8082, "kontinual-collector": 8081}


def url(kubectl: Kubectl, service: str, namespace: str) -> str:
    """Of a Service, from this machine."""
    address = kubectl.get("service", service, namespace=namespace)["spec"]["clusterIP"]
    return f"http://{address}:{PORTS[service]}"


def within(kubectl: Kubectl, service: str, *command: str) -> str:
    """What a command says in a pod of a service, whether it succeeds or not."""
    return kubectl("exec", f"deployment/{service}", "-n", PROFILE, "--", *command, ok=False)


@pytest.mark.parametrize("name", ["kubeflow", "standalone"])
def test_the_api_server_takes_an_overlay_as_it_is(
    kubectl: Kubectl, kubeflow: ReviewingServer, name: str
) -> None:
    wanted = overlay.as_known(overlay.resources(kubectl, name), kubectl.versions())
    told = kubectl.apply(wanted, "--dry-run=server").splitlines()
    assert len(told) == len(wanted)
    assert all("server dry run" in line for line in told), told


def test_kinds_too_new_for_an_old_server_are_the_disruption_budgets_alone(
    kubectl: Kubectl,
) -> None:
    for name in ("kubeflow", "standalone"):
        found = overlay.resources(kubectl, name)
        older = overlay.as_known(found, set())
        changed = {new["kind"] for new, old in zip(older, found, strict=True) if new != old}
        assert changed == {"PodDisruptionBudget"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_answers_by_its_name(kubectl: Kubectl, profile: str, service: str) -> None:
    answer = httpx.get(f"{url(kubectl, service, profile)}/healthz", timeout=30)
    assert answer.status_code == 200
    probe = f"import httpx; print(httpx.get('http://{service}:{PORTS[service]}/healthz'))"
    assert "200 OK" in within(kubectl, "kontinual-collector", "python", "-c", probe)


@pytest.mark.parametrize("service", SERVICES)
def test_pods_are_restricted(kubectl: Kubectl, profile: str, service: str) -> None:
    assert within(kubectl, service, "id", "-u").splitlines()[1] == "65532"
    assert "Read-only file system" in within(kubectl, service, "touch", "/here")
    status = within(kubectl, service, "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(facts["CapEff"], 16) == 0
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


def test_the_collector_has_no_token_and_the_trigger_has_its_two(
    kubectl: Kubectl, profile: str
) -> None:
    place = "/var/run/secrets"
    assert "No such file" in within(kubectl, "kontinual-collector", "ls", place)
    assert "token" in within(
        kubectl, "kontinual-trigger", "ls", f"{place}/kubernetes.io/serviceaccount"
    )
    assert "token" in within(kubectl, "kontinual-trigger", "ls", f"{place}/kubeflow/pipelines")


SERVING = "inferenceservices.serving.kserve.io"
MAY = {
    f"{PROFILE}:kontinual-trigger": [
        ("get", SERVING),
        ("update", SERVING),
        ("update", "leases.coordination.k8s.io"),
        ("create", "runs.pipelines.kubeflow.org"),
    ],
    f"{PROFILE}:default-editor": [
        ("create", SERVING),
        ("create", "experiments.kubeflow.org"),
        ("list", "trials.kubeflow.org"),
        ("get", "httproutes.gateway.networking.k8s.io"),
    ],
}
MAY_NOT = {
    f"{PROFILE}:kontinual-trigger": [
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "experiments.kubeflow.org"),
        ("create", "deployments.apps"),
        ("update", "httproutes.gateway.networking.k8s.io"),
    ],
    f"{PROFILE}:kontinual-collector": [
        ("get", SERVING),
        ("get", "configmaps"),
        ("list", "pods"),
    ],
    f"{PROFILE}:default-editor": [
        ("get", "secrets"),
        ("update", "experiments.kubeflow.org"),
        ("delete", "leases.coordination.k8s.io"),
    ],
}


@pytest.mark.parametrize("account", MAY)
def test_an_account_may_do_what_its_work_needs(
    client: ApiClient, profile: str, account: str
) -> None:
    refused = [w for w in MAY[account] if not can(client, account, *w, namespace=profile)]
    assert refused == []


@pytest.mark.parametrize("account", MAY_NOT)
def test_an_account_may_do_nothing_else(client: ApiClient, profile: str, account: str) -> None:
    allowed = [w for w in MAY_NOT[account] if can(client, account, *w, namespace=profile)]
    assert allowed == []
    everything = [*MAY.get(account, []), *MAY_NOT[account]]
    elsewhere = [w for w in everything if can(client, account, *w, namespace="default")]
    assert elsewhere == []


def test_the_trigger_takes_alerts_from_who_has_the_token_alone(
    kubectl: Kubectl, profile: str
) -> None:
    address = f"{url(kubectl, 'kontinual-trigger', profile)}/api/v1/triggers"
    assert httpx.get(address, timeout=30).status_code == 401
    known = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(address, headers=known, timeout=30).status_code == 200


def test_the_other_overlay_becomes_ready_as_well_and_goes_without_a_trace(
    kubectl: Kubectl, profile: str, folder: Path
) -> None:
    for service in SERVICES:
        kubectl.apply([outside.volume(service, STANDALONE, folder / f"standalone/{service}")])
    overlay.apply(kubectl, "standalone")
    try:
        overlay.wait_ready(kubectl, STANDALONE, *SERVICES)
    finally:
        mine = overlay.as_known(overlay.resources(kubectl, "standalone"), kubectl.versions())
        kubectl.delete(r for r in mine if r["metadata"].get("namespace") == STANDALONE)
    assert kubectl.get("pods", namespace=STANDALONE)["items"] == []
