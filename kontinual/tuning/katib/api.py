"""Katib's objects in the cluster's API."""

import time
from collections.abc import Callable
from typing import Any

from kubeflow_katib_api.models import V1beta1Experiment
from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi

from kontinual.cluster import cluster_errors, patiently
from kontinual.errors import ClusterError

__all__ = ["KatibApi"]

_GROUP, _VERSION = "kubeflow.org", "v1beta1"
_OF_EXPERIMENT = "katib.kubeflow.org/experiment"


class KatibApi:
    """What a search asks of the cluster; an API that is away for minutes is waited for.

    Args:
        client: of the cluster.
        namespace: where Experiments live.
        sleep: between two tries of what the cluster's trouble of the moment let fail.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.namespace = namespace
        self._objects = CustomObjectsApi(client)
        self._core = CoreV1Api(client)
        self._sleep = sleep

    def create(self, wanted: V1beta1Experiment) -> bool:
        """Create an Experiment.

        Returns:
            False: there is one of this name, perhaps by a request whose answer was lost.

        Raises:
            ClusterError: Katib or the cluster refused it.
        """
        name = wanted.metadata.name
        try:
            self._patiently(
                f"experiment {self.namespace}/{name} can not be created",
                lambda: self._objects.create_namespaced_custom_object(
                    _GROUP, _VERSION, self.namespace, "experiments", wanted.to_dict()
                ),
            )
        except ClusterError as exc:
            if exc.status == 409:
                return False
            if exc.status == 404:
                raise ClusterError(
                    f"{exc}; is Katib installed, and is there a namespace {self.namespace}?",
                    status=404,
                ) from exc
            raise
        return True

    def experiment(self, name: str) -> dict[str, Any] | None:
        """An Experiment as it is now; None when there is none."""
        return self._get("experiments", name)

    def experiments(self, selector: str) -> list[dict[str, Any]]:
        """Experiments by a label selector."""
        return self._list("experiments", selector)

    def suggestion(self, name: str) -> dict[str, Any] | None:
        """The Suggestion of an Experiment, which has its name."""
        return self._get("suggestions", name)

    def trials(self, name: str) -> list[dict[str, Any]]:
        """The Trials of an Experiment."""
        return self._list("trials", f"{_OF_EXPERIMENT}={name}")

    def delete(self, name: str) -> None:
        """Remove an Experiment with its Trials and Jobs, if it is there."""
        try:
            self._patiently(
                f"experiment {self.namespace}/{name} can not be deleted",
                lambda: self._objects.delete_namespaced_custom_object(
                    _GROUP,
                    _VERSION,
                    self.namespace,
                    "experiments",
                    name,
                    propagation_policy="Background",
                ),
            )
        except ClusterError as exc:
            if exc.status != 404:
                raise

    def pods(self, selector: str) -> list[Any]:
        """Pods by a label selector, tried once.

        Raises:
            ClusterError: they may not be looked at, or the cluster does not answer.
        """
        with cluster_errors(f"the pods of {selector} can not be read"):
            found: list[Any] = self._core.list_namespaced_pod(
                self.namespace, label_selector=selector
            ).items
        return found

    def _list(self, plural: str, selector: str) -> list[dict[str, Any]]:
        answer = self._patiently(
            f"{plural} of {selector} in {self.namespace} can not be read",
            lambda: self._objects.list_namespaced_custom_object(
                _GROUP, _VERSION, self.namespace, plural, label_selector=selector
            ),
        )
        items: list[dict[str, Any]] = answer["items"]
        return items

    def _get(self, plural: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._patiently(
                f"{plural} {self.namespace}/{name} can not be read",
                lambda: self._objects.get_namespaced_custom_object(
                    _GROUP, _VERSION, self.namespace, plural, name
                ),
            )
        except ClusterError as exc:
            if exc.status == 404:
                return None
            raise
        return found

    def _patiently(self, what: str, request: Callable[[], Any]) -> Any:
        return patiently(what, request, sleep=self._sleep)
