"""KServe on a real API server: its controller imitated, pods, Services and Envoy real."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.client.exceptions import ApiException

from components.images import CONTROL
from kontinual.rollout.envoy_config import (
    CLUSTERS_FILE,
    ROUTES_FILE,
    render_clusters,
    render_routes,
    write_moved,
)
from tests.cluster.imitation.kserve.controller import Cluster, KServeImitation
from tests.cluster.imitation.kserve.nodes import GatewayImitation
from tests.cluster.imitation.kserve.objects import SERVICES, Objects
from tests.integration.rollout.real_servers import RunningEnvoy
from tests.repeating import repeating

__all__ = ["KServe", "credentials", "predictor_pod"]

Json = dict[str, Any]
TURN_SECONDS = 0.5
ENDPOINT, USE_HTTPS, REGION = (
    f"serving.kserve.io/s3-{name}" for name in ("endpoint", "usehttps", "region")
)
MODELS = "/mnt/models"
# What KServe's storage-initializer does, by the libraries of our own image.
FETCH = (
    "import fsspec, sys; fs, path = fsspec.url_to_fs(sys.argv[1]); "
    "fs.get(path + '/', sys.argv[2] + '/', recursive=True)"
)


def predictor_pod(runtime: Json, core: CoreV1Api, namespace: str) -> Callable[[Json], Json]:
    """The pod that KServe makes of a predictor on a runtime: merged, with the model fetched."""

    def pod(predictor: Json) -> Json:
        model, spec = predictor["model"], copy.deepcopy(runtime["spec"])
        (container,) = spec["containers"]
        container["args"] = [*container["args"], *(model.get("args") or [])]
        container["resources"] = {**container["resources"], **(model.get("resources") or {})}
        place = {"name": "kserve-provision-location", "mountPath": MODELS}
        container["volumeMounts"].append({**place, "readOnly": True})
        account = predictor.get("serviceAccountName", "default")
        fetch = {
            "name": "storage-initializer",
            "image": CONTROL,
            "command": ["python", "-c", FETCH, model["storageUri"], MODELS],
            "env": credentials(core, namespace, account),
            "volumeMounts": [place],
            "securityContext": container["securityContext"],
        }
        volumes = [*spec["volumes"], {"name": place["name"], "emptyDir": {}}]
        return {
            "initContainers": [fetch],
            "containers": [container],
            "volumes": volumes,
            "serviceAccountName": account,
        }

    return pod


def credentials(core: CoreV1Api, namespace: str, account: str) -> list[Json]:
    """What the storage initializer is given: of the Secrets that the account names, and no other.

    A Secret that is not there is an error, as KServe refuses the pod then.
    """
    found: dict[str, Json] = {}
    for reference in core.read_namespaced_service_account(account, namespace).secrets or []:
        secret = core.read_namespaced_secret(reference.name, namespace)
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if key in (secret.data or {}):
                where = {"secretKeyRef": {"name": reference.name, "key": key}}
                found[key] = {"name": key, "valueFrom": where}
        told = secret.metadata.annotations or {}
        if told.get(ENDPOINT):
            scheme = "http" if told.get(USE_HTTPS) == "0" else "https"
            value = f"{scheme}://{told[ENDPOINT]}"
            found["AWS_ENDPOINT_URL"] = {"name": "AWS_ENDPOINT_URL", "value": value}
        if told.get(REGION):
            found["AWS_DEFAULT_REGION"] = {"name": "AWS_DEFAULT_REGION", "value": told[REGION]}
    return list(found.values())


class KServe:
    """The controller at work in a namespace, and the gateway that goes by its routes.

    Args:
        client: of the cluster.
        namespace: of the InferenceServices.
        envoy: answers for the gateway; of all routes it goes by the one named `name`.
        name: of the loop.
        mode: Standard or Knative.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        envoy: RunningEnvoy,
        *,
        name: str,
        mode: str = "Standard",
    ) -> None:
        runtime = CustomObjectsApi(client).get_cluster_custom_object(
            "serving.kserve.io", "v1alpha1", "clusterservingruntimes", "kontinual"
        )
        self.objects = Objects(client, namespace)
        self.weights: dict[str, int] = {}
        self.history: list[dict[str, int]] = []
        self._envoy, self._name, self._updates = envoy, name, 0
        pod = predictor_pod(runtime, CoreV1Api(client), namespace)
        cluster = Cluster(mode=mode, pod=pod)
        self._controllers = (
            KServeImitation(client, namespace, cluster),
            GatewayImitation(self.objects, self._program),
        )

    @contextmanager
    def running(self) -> Iterator["KServe"]:
        """Let the controllers take turns as long as the block lasts; an error ends the test."""
        with repeating(self._turn, pause=TURN_SECONDS, name="kserve"):
            yield self

    def _turn(self) -> None:
        try:
            for controller in self._controllers:
                controller.step()
        except ApiException as exc:
            if exc.status != 409:  # someone wrote meanwhile; the next turn sees it
                raise

    def _program(self, route: str, weights: dict[str, int]) -> None:
        """Let Envoy go by a route, Services being its clusters."""
        if route != self._name or weights == self.weights:
            return
        backends = {name: (self._address(name), 80) for name in weights}
        shares = {name: weight for name, weight in weights.items() if weight}
        if len(shares) == 1:  # the only one has all, whatever its number
            shares = dict.fromkeys(shares, 100)
        self._updates += 1
        update = str(self._updates)
        folder = self._envoy.folder
        write_moved(folder / CLUSTERS_FILE, render_clusters(backends, update=update))
        write_moved(folder / ROUTES_FILE, render_routes(shares, update=update))
        self.weights = weights
        if self.history[-1:] != [shares]:
            self.history.append(shares)

    def _address(self, service: str) -> str:
        found = self.objects.get(SERVICES, service)
        assert found is not None
        return str(found["spec"]["clusterIP"])
