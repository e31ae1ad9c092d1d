"""A client of the cluster's API: from a kubeconfig, or from within a pod."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException, OpenApiException
from kubernetes.config import ConfigException
from urllib3 import Retry
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from kontinual.errors import ClusterError

__all__ = ["api_client", "cluster_errors", "namespace"]

CONNECT_SECONDS, READ_SECONDS = 5, 30
# The library meets a damaged kubeconfig with whatever error its parsing ends in.
_UNUSABLE = (ConfigException, OSError, ValueError, TypeError, AttributeError, YAMLError)
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class _PatientClient(ApiClient):  # type: ignore[misc]
    """Waits for no answer for ever, as the library's own client does by default."""

    def request(self, *args: Any, _request_timeout: Any = None, **options: Any) -> Any:
        timeout = _request_timeout or (CONNECT_SECONDS, READ_SECONDS)
        return super().request(*args, _request_timeout=timeout, **options)


def api_client() -> ApiClient:
    """A client of the cluster that `KUBECONFIG` names, else the pod's own, else ~/.kube/config's.

    A request is given up when no byte came for 30 s. One that could not be sent is
    sent again; one whose answer was lost is not: the caller knows whether it may be.

    Raises:
        ClusterError: there is no cluster to be found, or its configuration is damaged.
    """
    configuration = Configuration()
    configuration.retries = Retry(total=None, connect=3, read=0, other=0, backoff_factor=0.2)
    try:
        if _within_pod():
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(_kubeconfig(), client_configuration=configuration)
    except _UNUSABLE as exc:
        raise ClusterError(
            f"no cluster can be reached from here: {exc}. Set KUBECONFIG to a kubeconfig file, "
            "or run in a pod whose service account token is mounted"
        ) from exc
    return _PatientClient(configuration)


def namespace() -> str:
    """Where this process works: the pod's namespace, or that of the kubeconfig's current context.

    Raises:
        ClusterError: there is no cluster to be found.
    """
    try:
        if _within_pod():
            return _POD_NAMESPACE.read_text("utf-8").strip()
        _, current = config.list_kube_config_contexts(_kubeconfig())
    except _UNUSABLE as exc:
        raise ClusterError(f"no namespace to work in: {exc}") from exc
    return str(current["context"].get("namespace", "default"))


@contextmanager
def cluster_errors(what: str) -> Iterator[None]:
    """Give a failed request as a ClusterError that begins with what was wanted.

    Args:
        what: such as `experiment team/flights-7 can not be created`.
    """
    try:
        yield
    except ApiException as exc:
        raise ClusterError(f"{what}: {_said(exc)}", status=exc.status or 0) from exc
    except (OpenApiException, HTTPError, OSError) as exc:
        raise ClusterError(f"{what}: the cluster's API does not answer: {exc}") from exc


def _within_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ


def _kubeconfig() -> str | None:
    """Asked anew each time; the library itself keeps what it found when it was imported."""
    return os.environ.get("KUBECONFIG")


def _said(exc: ApiException) -> str:
    """The server's own message, with the right that lacks where one does."""
    try:
        message = str(json.loads(exc.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = str(exc.body or exc.reason)
    return f"{exc.status} {exc.reason}: {message}"
