"""Objects of a namespace, as Katib's controllers get at them."""

from typing import Any

from kubernetes.client import ApiClient, BatchV1Api, CoreV1Api, CustomObjectsApi
from kubernetes.client.exceptions import ApiException

__all__ = ["Objects", "owned"]

Json = dict[str, Any]
_KATIB = ("kubeflow.org", "v1beta1")


def owned(owner: Json) -> Json:
    """The metadata of what belongs to an object and falls with it."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"ownerReferences": [reference]}


class Objects:
    """Custom objects of Katib, Jobs, and the output of their pods."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._client = client
        self._custom = CustomObjectsApi(client)
        self._batch = BatchV1Api(client)
        self._core = CoreV1Api(client)

    def list(self, plural: str, selector: str = "") -> list[Json]:
        answer = self._custom.list_namespaced_custom_object(
            *_KATIB, self.namespace, plural, label_selector=selector
        )
        found: list[Json] = answer["items"]
        return found

    def get(self, plural: str, name: str) -> Json | None:
        try:
            found: Json = self._custom.get_namespaced_custom_object(
                *_KATIB, self.namespace, plural, name
            )
        except ApiException as exc:
            if exc.status == 404:
                return None
            raise
        return found

    def create(self, plural: str, thing: Json) -> Json:
        made: Json = self._custom.create_namespaced_custom_object(
            *_KATIB, self.namespace, plural, thing
        )
        return made

    def replace(self, plural: str, thing: Json) -> Json:
        name = thing["metadata"]["name"]
        made: Json = self._custom.replace_namespaced_custom_object(
            *_KATIB, self.namespace, plural, name, thing
        )
        return made

    def put_status(self, plural: str, thing: Json) -> None:
        name = thing["metadata"]["name"]
        self._custom.replace_namespaced_custom_object_status(
            *_KATIB, self.namespace, plural, name, thing
        )

    def job(self, name: str) -> Json | None:
        try:
            found = self._batch.read_namespaced_job(name, self.namespace)
        except ApiException as exc:
            if exc.status == 404:
                return None
            raise
        plain: Json = self._client.sanitize_for_serialization(found)
        return plain

    def create_job(self, job: Json) -> None:
        self._batch.create_namespaced_job(self.namespace, job)

    def delete_job(self, name: str) -> None:
        self._batch.delete_namespaced_job(name, self.namespace, propagation_policy="Foreground")

    def output(self, job: str, container: str) -> str:
        """What the pods of a Job said so far."""
        pods = self._core.list_namespaced_pod(
            self.namespace, label_selector=f"job-name={job}"
        ).items
        parts = []
        for pod in pods:
            try:
                # As bytes: the client would turn a log of JSON into Python's way of writing it.
                answer = self._core.read_namespaced_pod_log(
                    pod.metadata.name, self.namespace, container=container, _preload_content=False
                )
            except ApiException as exc:
                if exc.status != 400:  # the container waits to start
                    raise
            else:
                parts.append(answer.data.decode())
        return "".join(parts)
