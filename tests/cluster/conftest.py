"""One cluster for all tests here: `make test-cluster` makes it, or KUBECONFIG names it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from kubernetes import config
from kubernetes.client import ApiClient

from tests.cluster import outside, overlay
from tests.cluster.definitions import definitions
from tests.cluster.imitation.pipelines import AUDIENCE, ReviewingServer
from tests.cluster.kubectl import Kubectl
from tests.cluster.loop import declare, history
from tests.cluster.machine import HOST, program
from tests.integration.trigger.postgres import PostgresServer
from tests.kfp.server import kfp_server

LAKE = "s3://kontinual/lake"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Images and pods take their time on a busy machine; nothing here is timed."""
    for item in items:
        item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    assert os.environ.get("KUBECONFIG"), "there is no cluster: run `make test-cluster`"
    return Kubectl()


@pytest.fixture(scope="session")
def client(kubectl: Kubectl) -> Iterator[ApiClient]:
    """The administrator's."""
    with config.new_client_from_config(os.environ["KUBECONFIG"]) as made:
        yield made


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of this machine keep what they have."""
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="session")
def kubeflow(kubectl: Kubectl, client: ApiClient, folder: Path) -> Iterator[ReviewingServer]:
    """A cluster with what Kubeflow has, and the loop published to it."""
    outside.prepare(kubectl, definitions())
    names = [
        ("minio-service", "kubeflow", 9000),
        ("mlflow", "mlflow", 5000),
        ("prometheus-operated", "monitoring", 9090),
        ("ml-pipeline", "kubeflow", 8888),
        ("postgres", outside.PROFILE, 5432),
    ]
    kubectl.apply([part for name in names for part in outside.expose(*name)])
    with (
        outside.object_store(folder) as store,
        outside.mlflow(folder),
        PostgresServer(address=HOST) as postgres,
        kfp_server(ReviewingServer(client), host=HOST, port=8888) as pipelines,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store.items():
            patch.setenv(name, value)
        ledger = postgres.new_database()
        kontinual("ledger", "migrate", KONTINUAL_LEDGER=ledger)
        for namespace in (outside.PROFILE, outside.STANDALONE):
            kubectl.apply(outside.secrets(namespace, ledger=ledger))
        with fsspec.open(f"{LAKE}/flights/history.parquet", "wb") as file:
            history().to_parquet(file, index=False, coerce_timestamps="us")
        kontinual(
            "publish",
            str(declare(folder / "loop.yaml")),
            KONTINUAL_LAKE=LAKE,
            KONTINUAL_KFP=f"http://{HOST}:8888",
            KONTINUAL_KFP_NAMESPACE=outside.PROFILE,
            KONTINUAL_KFP_TOKEN=_editors_token(client),
        )
        yield pipelines


def _editors_token(client: ApiClient) -> str:
    """What a person who works in the profile has from Kubeflow for its pipelines."""
    path = f"/api/v1/namespaces/{outside.PROFILE}/serviceaccounts/default-editor/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE]},
    }
    answer = client.call_api(
        path,
        "POST",
        body=body,
        header_params={"Content-Type": "application/json"},
        auth_settings=["BearerToken"],
        response_type="object",
        _return_http_data_only=True,
    )
    return str(answer["status"]["token"])


def kontinual(*arguments: str, **settings: str) -> str:
    """The command line, as a person uses it from this machine; what it says."""
    done = subprocess.run(
        [program("kontinual"), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"kontinual {arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def profile(kubectl: Kubectl, kubeflow: ReviewingServer, folder: Path) -> str:
    """The namespace of the overlay `kubeflow`, whose services are ready."""
    where = outside.PROFILE
    kubectl.apply([outside.volume("kontinual-collector", where, folder / "volumes/collector")])
    overlay.apply(kubectl, "kubeflow")
    overlay.wait_ready(kubectl, where, "kontinual-trigger", "kontinual-collector")
    return where
