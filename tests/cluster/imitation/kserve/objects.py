"""A controller's view of the API: any kind of object as plain dictionaries."""

from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

__all__ = [
    "DEPLOYMENTS",
    "INFERENCE_SERVICES",
    "KSERVICES",
    "PODS",
    "REVISIONS",
    "ROUTES",
    "SERVICES",
    "Json",
    "Objects",
    "owned",
]

Json = dict[str, Any]
INFERENCE_SERVICES = "/apis/serving.kserve.io/v1beta1", "inferenceservices"
DEPLOYMENTS = "/apis/apps/v1", "deployments"
SERVICES, PODS = ("/api/v1", "services"), ("/api/v1", "pods")
ROUTES = "/apis/gateway.networking.k8s.io/v1", "httproutes"
KSERVICES = "/apis/serving.knative.dev/v1", "services"
REVISIONS = "/apis/serving.knative.dev/v1", "revisions"
Kind = tuple[str, str]


class Objects:
    """Reads and writes the objects of one namespace; a conflict is left to the next turn."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client, self.namespace = client, namespace

    def find(self, kind: Kind, selector: str = "") -> list[Json]:
        query = [("labelSelector", selector)] if selector else []
        return self._call(kind, "GET", query=query)["items"]

    def get(self, kind: Kind, name: str) -> Json | None:
        try:
            return self._call(kind, "GET", name)
        except ApiException as exc:
            if exc.status == 404:
                return None
            raise

    def create(self, kind: Kind, wanted: Json) -> Json:
        return self._call(kind, "POST", body=wanted)

    def apply(self, kind: Kind, wanted: Json) -> Json:
        """Create it, or change what differs; fields that are not wanted stay as they are."""
        name = wanted["metadata"]["name"]
        found = self.get(kind, name)
        if found is None:
            return self.create(kind, wanted)
        merged = {**found, **{k: v for k, v in wanted.items() if k != "metadata"}}
        return found if merged == found else self._call(kind, "PUT", name, body=merged)

    def status(self, kind: Kind, found: Json, status: Json) -> None:
        """Write a status, where it differs from what was read with `found`."""
        if found.get("status") == status:
            return
        name = found["metadata"]["name"]
        body = {**found, "status": status}
        try:
            self._call(kind, "PUT", f"{name}/status", body=body)
        except ApiException as exc:
            if exc.status not in {404, 409}:
                raise

    def delete(self, kind: Kind, name: str) -> None:
        try:
            self._call(kind, "DELETE", name)
        except ApiException as exc:
            if exc.status != 404:
                raise

    def _call(self, kind: Kind, method: str, name: str = "", **options: Any) -> Json:
        group, plural = kind
        path = f"{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")
        return self._client.call_api(
            path,
            method,
            query_params=options.get("query"),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=options.get("body"),
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
        )


def owned(owner: Json, kind: str, body: Json) -> Json:
    """Let an object go with its owner."""
    reference = {
        "apiVersion": owner.get("apiVersion", ""),
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {**body, "metadata": {**body["metadata"], "ownerReferences": [reference]}}
