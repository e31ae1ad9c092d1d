"""What our manifests expect of a Kubeflow: its namespaces, accounts, roles and servers.

Object store, MLflow, PostgreSQL and Prometheus are real and run on this machine; Services without
selectors give them the names that stand in the overlays' settings.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.machine import HOST, cache, program, server

__all__ = [
    "CREDENTIALS",
    "PROFILE",
    "STANDALONE",
    "TOKEN",
    "expose",
    "mlflow",
    "object_store",
    "prepare",
    "secrets",
    "volume",
]

Json = dict[str, Any]
PROFILE, STANDALONE = "kontinual", "kubeflow"  # the overlays' namespaces
TOKEN = "a-token-of-this-test"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret"}
FOR_KSERVE = {
    "serving.kserve.io/s3-endpoint": "minio-service.kubeflow:9000",
    "serving.kserve.io/s3-usehttps": "0",
    "serving.kserve.io/s3-region": "us-east-1",
}
# The ClusterRole kubeflow-pipelines-edit of a Kubeflow for several users.
PIPELINES_EDIT = [
    {
        "apiGroups": ["pipelines.kubeflow.org"],
        "resources": ["experiments", "pipelines", "pipelines/versions", "runs", "jobs"],
        "verbs": ["create", "delete", "get", "list", "terminate", "update"],
    }
]


def prepare(kubectl: Kubectl, definitions: list[Json]) -> None:
    """Make the cluster one with Kubeflow; what it has of its own stays as it is."""
    known = set(kubectl("get", "crd", "-o", "name").split())
    missing = [
        d
        for d in definitions
        if f"customresourcedefinition.apiextensions.k8s.io/{d['metadata']['name']}" not in known
    ]
    if missing:
        kubectl.apply(missing, "--server-side")
        names = [f"crd/{d['metadata']['name']}" for d in missing]
        kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    names = (PROFILE, STANDALONE, "mlflow", "monitoring")
    kubectl.apply([_named("v1", "Namespace", name) for name in names])
    kubectl.apply(
        [
            _named("rbac.authorization.k8s.io/v1", "ClusterRole", "kubeflow-pipelines-edit")
            | {"rules": PIPELINES_EDIT},
            _named("v1", "ServiceAccount", "default-editor", PROFILE),
            _editor_of_pipelines(),
            _named("v1", "ServiceAccount", "pipeline-runner", STANDALONE),
        ]
    )


def _editor_of_pipelines() -> Json:
    """What a profile has: its editors may do what kubeflow-pipelines-edit says."""
    kind = "RoleBinding"
    made = _named("rbac.authorization.k8s.io/v1", kind, "default-editor", PROFILE)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    subject = {"kind": "ServiceAccount", "name": "default-editor", "namespace": PROFILE}
    return made | {"roleRef": {**role, "name": "kubeflow-pipelines-edit"}, "subjects": [subject]}


def secrets(namespace: str, *, ledger: str) -> list[Json]:
    """The Secrets that docs/kubeflow.md asks for."""
    contents = {
        "kontinual-trigger": {"token": TOKEN},
        "kontinual-ledger": {"url": ledger},
        "kontinual-object-store": CREDENTIALS,
    }
    made = [
        _named("v1", "Secret", name, namespace) | {"stringData": content}
        for name, content in contents.items()
    ]
    made[-1]["metadata"]["annotations"] = FOR_KSERVE
    return made


def expose(name: str, namespace: str, port: int) -> list[Json]:
    """A Service whose only endpoint is a port of this machine."""
    subset = {"addresses": [{"ip": HOST}], "ports": [{"port": port}]}
    return [
        _named("v1", "Service", name, namespace) | {"spec": {"ports": [{"port": port}]}},
        _named("v1", "Endpoints", name, namespace) | {"subsets": [subset]},
    ]


def volume(claim: str, namespace: str, folder: Path) -> Json:
    """A volume for a claim on a cluster that makes none by itself: a folder of the node."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)  # the pods' user is nobody here
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(folder)},
        "claimRef": {"namespace": namespace, "name": claim},
    }
    return _named("v1", "PersistentVolume", f"{namespace}-{claim}") | {"spec": spec}


@contextmanager
def object_store(folder: Path) -> Iterator[Mapping[str, str]]:
    """moto's S3; gives the variables that its clients on this machine need."""
    command = [str(cache() / "s3/bin/moto_server"), "-H", HOST, "-p", "9000"]
    url = f"http://{HOST}:9000"
    # Its name in the cluster has a dot, which is no bucket's.
    environment = {"S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"}
    with server(command, log=folder / "s3.log", ready=url, environment=environment):
        yield {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", **CREDENTIALS}


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """An MLflow server that keeps models as well."""
    command = [
        *(program("mlflow"), "server", "--host", HOST, "--port", "5000", "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
        # Beyond localhost and bare addresses, a server of MLflow answers to the names it is told.
        *("--allowed-hosts", f"{HOST}:5000,mlflow.mlflow:5000"),
    ]
    url = f"http://{HOST}:5000"
    with server(command, log=folder / "mlflow.log", ready=f"{url}/health"):
        yield url


def _named(version: str, kind: str, name: str, namespace: str = "") -> Json:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where}}
