"""kubectl, as an operator uses it."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, AuthorizationV1Api
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from tests.cluster.machine import program

__all__ = ["Kubectl", "can"]

Json = dict[str, Any]


class _Constructor(SafeConstructor):
    """Takes a bare `=`, as kustomize writes a matcher's, for the text that it is to Kubernetes."""


_Constructor.add_constructor("tag:yaml.org,2002:value", SafeConstructor.construct_yaml_str)


class Kubectl:
    """Commands on the cluster of `KUBECONFIG`; what fails is an AssertionError in its words."""

    def __call__(self, *arguments: str, stdin: str | None = None, ok: bool = True) -> str:
        """What a command prints; with `ok` left out it has to succeed."""
        done = subprocess.run(
            [program("kubectl"), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"kubectl {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0 or not ok, said
        return done.stdout if ok else said

    def kustomize(self, folder: Path) -> list[Json]:
        """What `kubectl apply -k` would send."""
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        return list(yaml.load_all(self("kustomize", str(folder))))

    def apply(self, resources: Iterable[Json], *options: str) -> str:
        """Apply resources as one file; returns what became of each."""
        return self("apply", *options, "-f", "-", stdin=_documents(resources))

    def delete(self, resources: Iterable[Json]) -> None:
        """Delete resources and wait until they are gone."""
        self("delete", "--ignore-not-found", "--wait", "-f", "-", stdin=_documents(resources))

    def get(self, kind: str, name: str = "", *, namespace: str, **options: str) -> Json:
        """An object, or a list of them."""
        given = [f"--{key}={value}" for key, value in options.items()]
        text = self("get", kind, *([name] if name else []), "-n", namespace, *given, "-o", "json")
        found: Json = json.loads(text)
        return found

    def versions(self) -> set[str]:
        """The groups and versions that the API server knows."""
        return set(self("api-versions").split())


def can(client: ApiClient, account: str, verb: str, kind: str, *, namespace: str) -> bool:
    """May a service account do this, by the API server's own word?

    Args:
        client: of who may ask for others.
        account: `namespace:name`.
        verb: such as `create`.
        kind: `resource.group`, which need not be one that the server has.
        namespace: where.
    """
    resource, _, group = kind.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.partition(':')[0]}"]
    spec = {
        "user": f"system:serviceaccount:{account}",
        "groups": [*groups, "system:authenticated"],
        "resourceAttributes": attributes,
    }
    answer = AuthorizationV1Api(client).create_subject_access_review({"spec": spec})
    return bool(answer.status.allowed)


def _documents(resources: Iterable[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)})
