"""KServe's controller of InferenceServices, imitated by what it does through the API.

It follows KServe 0.21: conditions, modelStatus, canaryStatuses, the names of what it makes,
canaries merged over the stable predictor, weights of ready canaries alone, orphans removed
before the routes are written; and its oddities: observedGeneration is that of the Deployment
or Knative Service, labels and annotations of the InferenceService go to the pods, a canary
has no modelStatus. `Cluster` says which KServe, and how it was installed.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiClient

from tests.cluster.imitation.kserve.knative import KnativeImitation
from tests.cluster.imitation.kserve.objects import (
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    PODS,
    ROUTES,
    SERVICES,
    Json,
    Objects,
    owned,
)

__all__ = ["Cluster", "KServeImitation"]

OF_SERVICE = "serving.kserve.io/inferenceservice"
MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"


def simple_pod(predictor: Json) -> Json:
    """The pod of a predictor where nobody runs it."""
    model = predictor["model"]
    args = ["--package=/mnt/models", *(model.get("args") or [])]
    env = [{"name": "STORAGE_URI", "value": model["storageUri"]}]
    return {"containers": [{"name": "kserve-container", "args": args, "env": env}]}


@dataclass
class Cluster:
    """How KServe was installed.

    Args:
        mode: of an InferenceService that names none: Standard or Knative.
        gateway_api: HTTPRoutes; else Ingress.
        splits: weights of canaries in HTTPRoutes, which came with 0.21.
        canaries: `spec.canary`, which came with 0.20.
        runtimes: ClusterServingRuntimes that there are.
        pod: makes a pod's spec from a predictor.
    """

    mode: str = "Standard"
    gateway_api: bool = True
    splits: bool = True
    canaries: bool = True
    runtimes: set[str] = field(default_factory=lambda: {"kontinual"})
    pod: Callable[[Json], Json] = simple_pod


class KServeImitation:
    """One turn of `step` reconciles every InferenceService of a namespace once."""

    def __init__(self, client: ApiClient, namespace: str, cluster: Cluster | None = None) -> None:
        self.objects = Objects(client, namespace)
        self.cluster = cluster or Cluster()
        self._knative = KnativeImitation(self.objects)

    def step(self) -> None:
        for found in self.objects.find(INFERENCE_SERVICES):
            self._reconcile(found)

    def _reconcile(self, found: Json) -> None:
        status = copy.deepcopy(found.get("status") or {})
        annotated = (found["metadata"].get("annotations") or {}).get(MODE)
        status["deploymentMode"] = status.get("deploymentMode") or annotated or self.cluster.mode
        if self._invalid(found, status):
            _ready(status)
        elif _is_stopped(found):
            status = self._stop(found, status)
        elif status["deploymentMode"] == "Standard":
            self._standard(found, status)
        else:
            meta = self._meta(found, found["spec"]["predictor"])
            pod = self.cluster.pod(found["spec"]["predictor"])
            revision = self._knative.reconcile(found, meta, pod, status)
            self._model_status(status, f"serving.knative.dev/revision={revision}")
            _ready(status)
        self.objects.status(INFERENCE_SERVICES, found, status)

    def _invalid(self, found: Json, status: Json) -> bool:
        runtime = found["spec"]["predictor"]["model"].get("runtime")
        if runtime in self.cluster.runtimes:
            return False
        info = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime"}
        status["modelStatus"] = {"transitionStatus": "InvalidSpec", "lastFailureInfo": info}
        return True

    def _stop(self, found: Json, status: Json) -> Json:
        selector = f"{OF_SERVICE}={found['metadata']['name']}"
        for kind in (DEPLOYMENTS, SERVICES, ROUTES):
            for each in self.objects.find(kind, selector):
                self.objects.delete(kind, each["metadata"]["name"])
        self._knative.stop(found)
        stopped: Json = {"deploymentMode": status["deploymentMode"]}
        _set(stopped, "PredictorReady", False, "Stopped")
        _set(stopped, "Stopped", True)
        _ready(stopped)
        return stopped

    def _standard(self, found: Json, status: Json) -> None:
        _set(status, "Stopped", False)
        spec, name = found["spec"], found["metadata"]["name"]
        stable = spec["predictor"]
        canaries = spec.get("canary") or []
        self._canaries(found, status, canaries)
        replicas = _replicas_beside(stable, canaries, status)
        deployment = self._predictor(found, stable, replicas)
        self._remove_orphans(found, [stable, *(c["predictor"] for c in canaries)])
        available = _available(deployment)
        _set(status, "PredictorReady", available, "" if available else "MinimumReplicasUnavailable")
        component = status.setdefault("components", {}).setdefault("predictor", {})
        if available:
            component["url"] = f"http://{name}-predictor.example.com"
        status["observedGeneration"] = (deployment.get("status") or {}).get("observedGeneration", 0)
        if available:
            self._routes(found, status, stable, canaries)
        else:
            _set(status, "IngressReady", False, "Predictor ingress not created")
        _ready(status)
        self._model_status(status, f"app=isvc.{deployment['metadata']['name']}")

    def _canaries(self, found: Json, status: Json, canaries: list[Json]) -> None:
        statuses = []
        for entry in canaries:
            merged = _merged(found["spec"]["predictor"], entry["predictor"])
            replicas = _canary_replicas(found["spec"]["predictor"], entry)
            deployment = self._predictor(found, merged, replicas)
            statuses.append(
                {
                    "name": entry["predictor"]["name"],
                    "ready": _available(deployment),
                    "trafficPercent": entry["trafficPercent"],
                    "modelStatus": {"transitionStatus": "UpToDate"},  # as its CRD defaults it
                }
            )
        status.pop("canaryStatuses", None)
        _clear(status, "CanaryPredictorReady")
        if statuses:
            status["canaryStatuses"] = statuses
            ready = all(s["ready"] for s in statuses)
            reason = "AllCanariesReady" if ready else "CanariesNotReady"
            _set(status, "CanaryPredictorReady", ready, reason)

    def _predictor(self, found: Json, predictor: Json, replicas: int) -> Json:
        """Deployment and Service of a predictor; the Deployment as it is now."""
        meta = self._meta(found, predictor)
        app = {"app": f"isvc.{meta['name']}"}
        meta["labels"] |= app
        template = {
            "metadata": {"labels": meta["labels"], "annotations": meta["annotations"]},
            "spec": self.cluster.pod(predictor),
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": app}, "template": template}
        kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
        body = owned(found, "InferenceService", {**kind, "metadata": meta, "spec": spec})
        deployment = self.objects.apply(DEPLOYMENTS, body)
        ports = [{"name": meta["name"], "port": 80, "targetPort": 8080}]
        service = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
        if self.objects.get(SERVICES, meta["name"]) is None:
            body = {**service, "spec": {"selector": app, "ports": ports}}
            self.objects.apply(SERVICES, owned(found, "InferenceService", body))
        return deployment

    def _meta(self, found: Json, predictor: Json) -> Json:
        meta = found["metadata"]
        labels = {**(meta.get("labels") or {}), **(predictor.get("labels") or {})}
        notes = {**(meta.get("annotations") or {}), **(predictor.get("annotations") or {})}
        return {
            "name": service_name(meta["name"], predictor),
            "labels": {**labels, OF_SERVICE: meta["name"], "component": "predictor"},
            "annotations": notes,
        }

    def _remove_orphans(self, found: Json, predictors: list[Json]) -> None:
        name = found["metadata"]["name"]
        expected = {service_name(name, predictor) for predictor in predictors}
        for kind in (DEPLOYMENTS, SERVICES):
            for each in self.objects.find(kind, f"{OF_SERVICE}={name},component=predictor"):
                if each["metadata"]["name"] not in expected:
                    self.objects.delete(kind, each["metadata"]["name"])

    def _routes(self, found: Json, status: Json, stable: Json, canaries: list[Json]) -> None:
        name = found["metadata"]["name"]
        if not self.cluster.gateway_api:
            _set(status, "IngressReady", True)
            return
        ready = {s["name"] for s in status.get("canaryStatuses", []) if s["ready"]}
        sharing = [c for c in canaries if c["predictor"]["name"] in ready]
        backends: list[Json] = [{"name": service_name(name, stable), "port": 80, "weight": 1}]
        if canaries and self.cluster.splits:
            backends[0]["weight"] = 100 - sum(c["trafficPercent"] for c in sharing)
            backends += [
                {
                    "name": service_name(name, c["predictor"]),
                    "port": 80,
                    "weight": c["trafficPercent"],
                }
                for c in sharing
            ]
        accepted = True
        for route_name in (f"{name}-predictor", name):
            meta = {"name": route_name, "labels": {OF_SERVICE: name}}
            rules = [{"backendRefs": backends}]
            kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
            body = {**kind, "metadata": meta, "spec": {"rules": rules}}
            route = self.objects.apply(ROUTES, owned(found, "InferenceService", body))
            parents = (route.get("status") or {}).get("parents") or []
            accepted = accepted and bool(parents)
        _set(status, "IngressReady", accepted, "" if accepted else "ParentStatusNotAvailable")

    def _model_status(self, status: Json, selector: str) -> None:
        """By the pods of the stable predictor, or of the latest Revision; canaries have none."""
        pods = self.objects.find(PODS, selector)
        if not pods:
            status["modelStatus"] = _model("Pending", "InProgress")
            return
        latest = (status.get("components") or {}).get("predictor") or {}
        same = latest.get("latestCreatedRevision") == latest.get("latestReadyRevision")
        if _is(status, "Ready") and same:
            status["modelStatus"] = _model("Loaded", "UpToDate")
            return
        for container in pods[0].get("status", {}).get("containerStatuses", []):
            if (container["state"].get("waiting") or {}).get("reason") == "CrashLoopBackOff":
                ended = container["lastState"]["terminated"]
                info = {"reason": "ModelLoadFailed", "message": ended["message"]}
                failed = _model("FailedToLoad", "BlockedByFailedLoad")
                status["modelStatus"] = {**failed, "lastFailureInfo": info}
                return
        status["modelStatus"] = _model("Pending", "InProgress")


def service_name(name: str, predictor: Json) -> str:
    return "-".join(part for part in (name, predictor.get("name"), "predictor") if part)


def _merged(stable: Json, canary: Json) -> Json:
    """Fields of the canary over the stable one's; maps are joined, lists are replaced."""
    merged = copy.deepcopy(stable)
    for name, value in canary.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else copy.deepcopy(value)
    return merged


def _canary_replicas(stable: Json, entry: Json) -> int:
    given = entry["predictor"].get("minReplicas")
    if given is not None:
        return int(given)
    return math.ceil(stable.get("minReplicas", 1) * entry["trafficPercent"] / 100)


def _replicas_beside(stable: Json, canaries: list[Json], status: Json) -> int:
    ready = {s["name"] for s in status.get("canaryStatuses", []) if s["ready"]}
    wanted = int(stable.get("minReplicas", 1))
    taken = sum(_canary_replicas(stable, c) for c in canaries if c["predictor"]["name"] in ready)
    return max(wanted - taken, 1) if taken else wanted


def _available(deployment: Json) -> bool:
    return bool((deployment.get("status") or {}).get("availableReplicas"))


def _model(state: str, transition: str) -> Json:
    return {"transitionStatus": transition, "states": {"targetModelState": state}}


def _is_stopped(found: Json) -> bool:
    return (found["metadata"].get("annotations") or {}).get(STOP, "").lower() == "true"


def _ready(status: Json) -> None:
    _set(status, "Ready", _is(status, "PredictorReady") and _is(status, "IngressReady"))


def _is(status: Json, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", []))


def _clear(status: Json, kind: str) -> None:
    status["conditions"] = [c for c in status.get("conditions", []) if c["type"] != kind]


def _set(status: Json, kind: str, value: bool, reason: str = "", **more: Any) -> None:
    _clear(status, kind)
    entry = {"type": kind, "status": str(value), **({"reason": reason} if reason else {}), **more}
    status["conditions"] = sorted([*status["conditions"], entry], key=lambda c: c["type"])
