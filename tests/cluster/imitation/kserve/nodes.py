"""What a real cluster has besides: the Deployment controller with its nodes, and the gateway."""

import hashlib
import json
from collections.abc import Callable

from tests.cluster.imitation.kserve.objects import DEPLOYMENTS, PODS, ROUTES, Json, Objects, owned

__all__ = ["GatewayImitation", "NodesImitation"]

TEMPLATE = "pod-template-hash"


class NodesImitation:
    """Keeps a Deployment's pods, rolling over to a new template; `fate` says how a pod fares."""

    def __init__(self, objects: Objects, fate: Callable[[Json], str]) -> None:
        """Begin with nothing.

        Args:
            objects: of the namespace.
            fate: of a pod: `ready`, `crash` (it ends whenever it is started) or `pending`.
        """
        self._objects, self._fate = objects, fate

    def step(self) -> None:
        deployments = self._objects.find(DEPLOYMENTS)
        uids = {d["metadata"]["uid"] for d in deployments}
        for pod in self._objects.find(PODS):
            if pod["metadata"]["ownerReferences"][0]["uid"] not in uids:
                self._objects.delete(PODS, pod["metadata"]["name"])
        for deployment in deployments:
            self._keep(deployment)

    def _keep(self, deployment: Json) -> None:
        template, replicas = deployment["spec"]["template"], deployment["spec"]["replicas"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        labels = deployment["spec"]["selector"]["matchLabels"]
        pods = self._objects.find(PODS, ",".join(f"{k}={v}" for k, v in labels.items()))
        fresh = [p for p in pods if p["metadata"]["labels"][TEMPLATE] == digest]
        fresh += [self._start(deployment, digest) for _ in range(replicas - len(fresh))]
        ready = [p for p in fresh if self._fared(p)]
        old = [p for p in pods if p not in fresh] if len(ready) >= replicas else []
        for pod in [*old, *fresh[replicas:]]:
            self._objects.delete(PODS, pod["metadata"]["name"])
        serving = len(ready[:replicas]) or sum(self._fared(p) for p in pods if p not in fresh)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "availableReplicas": serving,
        }
        self._objects.status(DEPLOYMENTS, deployment, status)

    def _start(self, deployment: Json, digest: str) -> Json:
        template = deployment["spec"]["template"]
        meta = {
            "generateName": f"{deployment['metadata']['name']}-{digest}-",
            "name": "",
            "labels": {**template["metadata"]["labels"], TEMPLATE: digest},
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        return self._objects.create(PODS, owned(deployment, "Deployment", body))

    def _fared(self, pod: Json) -> bool:
        """Write how a pod is; is it ready?"""
        fate = self._fate(pod)
        state: Json = {"running": {}}
        last: Json = {}
        conditions = [{"type": "Ready", "status": str(fate == "ready")}]
        if fate == "crash":
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
            last = {"terminated": {"exitCode": 1, "message": "model.onnx: damaged"}}
        if fate == "pending":
            said = "0/3 nodes are available: insufficient memory"
            conditions.append({"type": "PodScheduled", "status": "False", "message": said})
        image = {"image": "serve", "imageID": "", "restartCount": 0}
        container = {"name": "kserve-container", "state": state, "lastState": last, **image}
        containers = [{**container, "ready": fate == "ready"}]
        status = {
            "conditions": conditions,
            "containerStatuses": [] if fate == "pending" else containers,
        }
        self._objects.status(PODS, pod, status)
        return fate == "ready"


class GatewayImitation:
    """Accepts HTTPRoutes and goes by their weights."""

    def __init__(self, objects: Objects, program: Callable[[str, dict[str, int]], None]) -> None:
        """Begin with no route.

        Args:
            objects: of the namespace.
            program: takes a route's name and the weight of each Service behind it.
        """
        self._objects, self._program = objects, program
        self.held = False  # a gateway that is behind

    def step(self) -> None:
        if self.held:
            return
        for route in self._objects.find(ROUTES):
            backends = route["spec"]["rules"][0]["backendRefs"]
            weights = {backend["name"]: backend["weight"] for backend in backends}
            self._program(route["metadata"]["name"], weights)
            seen = route["metadata"]["generation"]
            accepted = {"type": "Accepted", "status": "True", "observedGeneration": seen}
            parents = [{"parentRef": {"name": "gateway"}, "conditions": [accepted]}]
            self._objects.status(ROUTES, route, {"parents": parents})
