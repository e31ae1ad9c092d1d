"""Where the cluster is, and what a failed request says."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml
from kubernetes.client import CustomObjectsApi

from kontinual.cluster import api_client, cluster_errors, namespace
from kontinual.errors import ClusterError
from tests.kube.server import KubeServer

WIDGETS = ("example.com", "v1", "team", "widgets")


@pytest.fixture
def kubeconfig(kube: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kube.kubeconfig(namespace="team")))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_a_kubeconfig_gives_the_cluster_and_the_namespace(kubeconfig: Path) -> None:
    assert namespace() == "team"
    with api_client() as client:
        listed = CustomObjectsApi(client).list_namespaced_custom_object(*WIDGETS)
    assert listed["items"] == []


def test_a_kubeconfig_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match=r"Set KUBECONFIG to a kubeconfig file"):
        api_client()
    with pytest.raises(ClusterError, match="no namespace to work in"):
        namespace()


@pytest.mark.parametrize("text", ["{", "[]", "clusters: 7"])
def test_a_damaged_kubeconfig_is_an_error_of_ours(kubeconfig: Path, text: str) -> None:
    kubeconfig.write_text(text)
    with pytest.raises(ClusterError):
        api_client()
    with pytest.raises(ClusterError):
        namespace()


def wanted() -> AbstractContextManager[None]:
    return cluster_errors("widget team/w can not be read")


def test_a_refusal_says_what_was_wanted_and_what_the_server_said(kube: KubeServer) -> None:
    with kube.client() as client, pytest.raises(ClusterError) as caught, wanted():
        CustomObjectsApi(client).get_namespaced_custom_object(*WIDGETS, "w")
    assert str(caught.value) == (
        'widget team/w can not be read: 404 Not Found: widgets.example.com "w" not found'
    )
    assert caught.value.status == 404


def test_a_connection_that_breaks_is_no_refusal(kube: KubeServer) -> None:
    kube.fail("GET", "widgets", status=0)
    with (
        kube.client() as client,
        pytest.raises(ClusterError, match="not answer") as caught,
        wanted(),
    ):
        CustomObjectsApi(client).get_namespaced_custom_object(*WIDGETS, "w")
    assert caught.value.status == 0


def test_a_server_that_never_answers_is_given_up(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "kubernetes.client.ApiClient.request",
        lambda self, *args, _request_timeout, **options: asked.append(_request_timeout),
    )
    with api_client() as client:
        client.request("GET", "http://127.0.0.1")
        client.request("GET", "http://127.0.0.1", _request_timeout=(1, 300))
    assert asked == [(5, 30), (1, 300)]
