"""The Pod Security Standard `restricted`, and more, for everything that becomes a pod.

There are no exceptions, and no way to name one.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.manifests.conftest import Overlay

Pod = dict[str, Any]
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def weaknesses(pod: Pod) -> list[str]:
    """What a reviewer would object to."""
    found = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    for volume in pod.get("volumes", []):
        if not volume.keys() - {"name"} <= VOLUMES:
            found.append(f"volume {volume['name']} is of a kind that is not allowed")
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            found.append(f"volume {volume['name']} may fill the node")
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        found += [f"{container['name']}: {text}" for text in _of_container(pod, container)]
    return found


def _of_container(pod: Pod, container: dict[str, Any]) -> list[str]:
    context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    image, resources = container["image"], container.get("resources", {})
    rules = {
        "may run as root": context.get("runAsNonRoot") is True,
        "has no numeric user": int(context.get("runAsUser", 0)) > 0,
        "may gain privileges": context.get("allowPrivilegeEscalation") is False,
        "is privileged": not context.get("privileged", False),
        "keeps capabilities": context.get("capabilities") == {"drop": ["ALL"]},
        "has no seccomp profile": context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "can write to its image": context.get("readOnlyRootFilesystem") is True,
        "has an image without a fixed tag": bool(re.search(r":(?!latest$)[\w.-]+$", image)),
        "has a port of the host": all("hostPort" not in p for p in container.get("ports", [])),
        "has no readiness probe": "readinessProbe" in container,
        "has no liveness probe": "livenessProbe" in container,
    }
    rules |= {
        f"has no {kind} of {what}": bool(resources.get(kind, {}).get(what))
        for kind in ("requests", "limits")
        for what in ("cpu", "memory")
    }
    return [text for text, holds in rules.items() if not holds]


def test_no_pod_has_a_weakness(overlay: Overlay) -> None:
    pods = dict(overlay.pods())
    assert pods.keys() == {"kontinual-trigger", "kontinual-collector", "runtime kontinual"}
    assert {name: found for name, pod in pods.items() if (found := weaknesses(pod))} == {}


def _set(*path: Any, value: Any) -> Callable[[Pod], None]:
    def change(pod: Pod) -> None:
        node: Any = pod
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "weakness"),
    [
        (_set("securityContext", "runAsNonRoot", value=False), "trigger: may run as root"),
        (_set("securityContext", "runAsUser", value=0), "trigger: has no numeric user"),
        (
            _set("containers", 0, "securityContext", "allowPrivilegeEscalation", value=True),
            "trigger: may gain privileges",
        ),
        (
            _set("containers", 0, "securityContext", "capabilities", value={"drop": ["NET_RAW"]}),
            "trigger: keeps capabilities",
        ),
        (
            _set("containers", 0, "securityContext", "readOnlyRootFilesystem", value=False),
            "trigger: can write to its image",
        ),
        (
            _set("securityContext", "seccompProfile", value={"type": "Unconfined"}),
            "trigger: has no seccomp profile",
        ),
        (
            _set("containers", 0, "image", value="kontinual/control"),
            "trigger: has an image without a fixed tag",
        ),
        (
            _set("containers", 0, "image", value="host:5000/control:latest"),
            "trigger: has an image without a fixed tag",
        ),
        (
            _set("containers", 0, "resources", "limits", value={"cpu": "1"}),
            "trigger: has no limits of memory",
        ),
        (_set("hostNetwork", value=True), "hostNetwork is set"),
        (
            _set("volumes", value=[{"name": "x", "hostPath": {"path": "/"}}]),
            "volume x is of a kind that is not allowed",
        ),
        (_set("volumes", value=[{"name": "x", "emptyDir": {}}]), "volume x may fill the node"),
    ],
)
def test_the_linter_sees_each_weakness(
    kubeflow: Overlay, change: Callable[[Pod], None], weakness: str
) -> None:
    pod = copy.deepcopy(dict(kubeflow.pods())["kontinual-trigger"])
    change(pod)
    assert weaknesses(pod) == [weakness]


def test_roles_are_of_a_namespace_and_name_what_they_allow(overlay: Overlay) -> None:
    assert not overlay.of("ClusterRole")
    assert not overlay.of("ClusterRoleBinding")
    for role in overlay.of("Role"):
        for rule in role["rules"]:
            named = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in "".join(named), role["metadata"]["name"]
            assert not {"secrets", "pods/exec", "roles", "rolebindings"} & set(rule["resources"])
            assert not {"bind", "escalate", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_nobody_has_the_default_account_and_tokens_are_mounted_where_they_are_used(
    overlay: Overlay,
) -> None:
    accounts = {a["metadata"]["name"]: a for a in overlay.of("ServiceAccount")}
    assert all(a["automountServiceAccountToken"] is False for a in accounts.values())
    bound = {
        subject["name"] for binding in overlay.of("RoleBinding") for subject in binding["subjects"]
    }
    for deployment in overlay.of("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        account = pod["serviceAccountName"]
        assert account in accounts
        assert pod["automountServiceAccountToken"] is (account in bound)


def test_every_binding_is_of_an_account_in_the_overlays_namespace(overlay: Overlay) -> None:
    namespaces = {r["metadata"]["namespace"] for r in overlay.of("Deployment")}
    for binding in overlay.of("RoleBinding"):
        assert {subject["namespace"] for subject in binding["subjects"]} == namespaces
        if binding["roleRef"]["kind"] == "Role":
            overlay.one("Role", binding["roleRef"]["name"])


def test_no_secret_stands_in_a_manifest(overlay: Overlay) -> None:
    assert not overlay.of("Secret"), "they are made by who knows them"
    for config in overlay.of("ConfigMap"):
        for key, value in config["data"].items():
            assert not re.search(r"TOKEN|PASSWORD|SECRET|ACCESS_KEY|CREDENTIAL", key), key
            assert not re.search(r"//[^/]*:[^/]*@", value), f"{key}: an address with a password"


def test_every_pod_is_closed_to_namespaces_that_have_no_business_with_it(
    overlay: Overlay,
) -> None:
    for deployment in overlay.of("Deployment"):
        policy = overlay.one("NetworkPolicy", deployment["metadata"]["name"])["spec"]
        selected = policy["podSelector"]["matchLabels"].items()
        assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["from"] and rule["ports"] for rule in policy["ingress"])
        assert all(rule["ports"] for rule in policy["egress"])
