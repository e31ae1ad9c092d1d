"""The objects of one loop in the cluster's API, read patiently and changed by compare-and-swap."""

import copy
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi

from kontinual.cluster import LeaseLost, cluster_errors, is_passing, patiently
from kontinual.errors import ClusterError, GatewayError
from kontinual.rollout.kserve.manifest import API_VERSION, GROUP, VERSION_LABEL

__all__ = ["Json", "KServeApi"]

Json = dict[str, Any]
WRITE_ATTEMPTS = 8
# A write ends within what a Lease that was just checked still lasts.
_WRITE_TIMEOUT = (5, 10)
log = logging.getLogger(__name__)


class KServeApi:
    """One InferenceService and what KServe makes of it."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        *,
        check: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Name the InferenceService.

        Args:
            client: of the cluster.
            namespace: where it is.
            name: the loop's.
            check: raises when this process may not write any more; asked before each request.
            sleep: waits between two tries.
        """
        self.name, self.namespace = name, namespace
        self.title = f"InferenceService {namespace}/{name}"
        self._objects, self._core = CustomObjectsApi(client), CoreV1Api(client)
        self._where = (GROUP, API_VERSION, namespace, "inferenceservices")
        self._check, self._sleep = check, sleep

    def find(self) -> Json | None:
        """The InferenceService as it is now; None when there is none."""
        return self._get(*self._where, self.name)

    def require(self) -> Json:
        """The InferenceService.

        Raises:
            GatewayError: there is none.
        """
        found = self.find()
        if found is None:
            raise GatewayError(f"{self.title} does not exist, so no version of it is deployed")
        return found

    def create(self, wanted: Json) -> None:
        """Create it; one that a request made whose answer was lost is taken for it."""
        self._check()
        try:
            with cluster_errors(f"{self.title} can not be created"):
                self._objects.create_namespaced_custom_object(
                    *self._where, wanted, _request_timeout=_WRITE_TIMEOUT
                )
        except ClusterError as exc:
            if exc.status != 409 and not (is_passing(exc) and self.find()):
                raise GatewayError(str(exc)) from exc

    def change(self, edit: Callable[[Json], None]) -> Json:
        """Read it, edit it, and put it back if nobody changed its spec meanwhile.

        A status that moved meanwhile is no reason to stop; neither is an answer that was lost.

        Args:
            edit: changes what it is given into what is wanted; nothing where that is so already.

        Raises:
            GatewayError: someone else changed the spec at the same time, or it was refused.
        """
        found = self.require()
        generation = found["metadata"]["generation"]
        for _ in range(WRITE_ATTEMPTS):
            wanted = copy.deepcopy(found)
            edit(wanted)
            if wanted == found:
                return found
            if found["metadata"]["generation"] != generation:
                raise GatewayError(
                    f"{self.title} was changed by someone else at the same time; "
                    "look at it before a rollout begins anew"
                )
            written = self._replace(wanted)
            if written is not None:
                return written
            self._sleep(0.5)
            found = self.require()
        raise GatewayError(f"{self.title} changes so often that it could not be written")

    def delete(self, found: Json) -> None:
        """Delete it as it was found, if nobody changed it since."""
        self._check()
        version = found["metadata"]["resourceVersion"]
        try:
            with cluster_errors(f"{self.title} can not be deleted"):
                self._objects.delete_namespaced_custom_object(
                    *self._where,
                    self.name,
                    body={"preconditions": {"resourceVersion": version}},
                    _request_timeout=_WRITE_TIMEOUT,
                )
        except ClusterError as exc:
            if exc.status != 404:
                raise GatewayError(str(exc)) from exc

    def route(self, name: str) -> Json | None:
        """An HTTPRoute of the Gateway API; None also where the cluster has no such API."""
        return self._get("gateway.networking.k8s.io", "v1", self.namespace, "httproutes", name)

    def revision(self, name: str) -> Json | None:
        """A Revision of Knative."""
        return self._get("serving.knative.dev", "v1", self.namespace, "revisions", name)

    def pods(self, version: str) -> list[Json]:
        """The pods of a version; none where this process may not look at pods."""
        selector = f"{GROUP}/inferenceservice={self.name},{VERSION_LABEL}={version}"
        try:
            with cluster_errors(f"pods of {self.title} can not be read"):
                answer = self._core.list_namespaced_pod(
                    self.namespace, label_selector=selector, _preload_content=False
                )
        except ClusterError as exc:
            log.debug("%s", exc)
            return []
        pods: list[Json] = json.loads(answer.data)["items"]
        return pods

    def _get(self, group: str, version: str, namespace: str, plural: str, name: str) -> Json | None:
        self._check()
        try:
            found: Json = patiently(
                f"{plural} {namespace}/{name} can not be read",
                lambda: self._objects.get_namespaced_custom_object(
                    group, version, namespace, plural, name
                ),
                sleep=self._sleep,
            )
        except LeaseLost:
            raise
        except ClusterError as exc:
            if exc.status == 404:
                return None
            raise GatewayError(str(exc)) from exc
        return found

    def _replace(self, wanted: Json) -> Json | None:
        """The object as it was stored; None when it is to be read again."""
        self._check()
        try:
            with cluster_errors(f"{self.title} can not be changed"):
                written: Json = self._objects.replace_namespaced_custom_object(
                    *self._where, self.name, wanted, _request_timeout=_WRITE_TIMEOUT
                )
        except ClusterError as exc:
            if exc.status == 409 or is_passing(exc):
                log.info("%s; looking again", exc)
                return None
            raise GatewayError(str(exc)) from exc
        return written
