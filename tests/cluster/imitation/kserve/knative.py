"""Knative Serving and KServe's use of it, imitated: a Service, its Revisions, its traffic."""

import copy

from tests.cluster.imitation.kserve.objects import (
    DEPLOYMENTS,
    KSERVICES,
    REVISIONS,
    Json,
    Objects,
    owned,
)

__all__ = ["KnativeImitation"]

REVISION = "serving.knative.dev/revision"
OF_KSERVICE = "serving.knative.dev/service"


class KnativeImitation:
    """Both controllers in one: KServe writes the Service and reads its status, Knative answers."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def reconcile(self, found: Json, meta: Json, pod: Json, status: Json) -> str:
        """Make the Service, let Knative have its turn, take over its status.

        Returns:
            The latest created Revision.
        """
        predictor = found["spec"]["predictor"]
        component = status.setdefault("components", {}).setdefault("predictor", {})
        template = {
            "metadata": {"labels": meta["labels"], "annotations": meta["annotations"]},
            "spec": pod,
        }
        spec = {"template": template, "traffic": _targets(predictor, component)}
        kind = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
        body = {**kind, "metadata": {"name": meta["name"]}, "spec": spec}
        kservice = self._objects.apply(KSERVICES, owned(found, "InferenceService", body))
        kstatus = self._turn(kservice)
        self._objects.status(KSERVICES, kservice, kstatus)
        _propagate(status, component, kstatus)
        return str(component["latestCreatedRevision"])

    def stop(self, found: Json) -> None:
        self._objects.delete(KSERVICES, f"{found['metadata']['name']}-predictor")

    def _turn(self, kservice: Json) -> Json:
        """Knative's own turn: a Revision for a new template, pods for those that have traffic."""
        meta, spec = kservice["metadata"], kservice["spec"]
        status = copy.deepcopy(kservice.get("status") or {})
        revisions = self._objects.find(REVISIONS, f"{OF_KSERVICE}={meta['name']}")
        created = status.get("latestCreatedRevisionName")
        latest = next((r for r in revisions if r["metadata"]["name"] == created), None)
        if latest is None or latest["spec"]["template"] != spec["template"]:
            number = 1 + max((int(r["metadata"]["name"][-5:]) for r in revisions), default=0)
            latest = self._new_revision(kservice, f"{meta['name']}-{number:05d}")
        name = latest["metadata"]["name"]
        status["latestCreatedRevisionName"] = name
        if self._is_ready(latest):
            status["latestReadyRevisionName"] = name
        ready = status.get("latestReadyRevisionName")
        status["traffic"] = [
            {**target, "revisionName": ready} if target["latestRevision"] else target
            for target in spec["traffic"]
            if ready
        ]
        routed = {target["revisionName"] for target in status["traffic"]}
        for revision in self._objects.find(REVISIONS, f"{OF_KSERVICE}={meta['name']}"):
            self._scale(revision, up=revision["metadata"]["name"] in {*routed, name})
        good = ready == name
        said = "" if good else f'Revision "{name}" is not ready'
        status["conditions"] = [
            _condition("ConfigurationsReady", good, said),
            _condition("Ready", good, said),
            _condition("RoutesReady", bool(ready), "" if ready else said),
        ]
        status["observedGeneration"] = meta["generation"]
        return status

    def _new_revision(self, kservice: Json, name: str) -> Json:
        template = kservice["spec"]["template"]
        labels = {**template["metadata"]["labels"], OF_KSERVICE: kservice["metadata"]["name"]}
        kind = {"apiVersion": "serving.knative.dev/v1", "kind": "Revision"}
        meta = {"name": name, "labels": {**labels, REVISION: name}}
        body = {**kind, "metadata": meta, "spec": {"template": template}}
        return self._objects.apply(REVISIONS, owned(kservice, "Service", body))

    def _scale(self, revision: Json, *, up: bool) -> None:
        meta, template = revision["metadata"], revision["spec"]["template"]
        labels = {**template["metadata"]["labels"], REVISION: meta["name"]}
        spec = {
            "replicas": int(up),
            "selector": {"matchLabels": {REVISION: meta["name"]}},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        }
        kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
        body = {**kind, "metadata": {"name": f"{meta['name']}-deployment"}, "spec": spec}
        self._objects.apply(DEPLOYMENTS, owned(revision, "Revision", body))

    def _is_ready(self, revision: Json) -> bool:
        found = self._objects.get(DEPLOYMENTS, f"{revision['metadata']['name']}-deployment")
        return bool(((found or {}).get("status") or {}).get("availableReplicas"))


def _targets(predictor: Json, component: Json) -> list[Json]:
    """KServe's traffic targets: the field counts only once a version had all the traffic."""
    rolled_out, percent = component.get("latestRolledoutRevision"), None
    if rolled_out:
        percent = predictor.get("canaryTrafficPercent")
    targets: list[Json] = [{"latestRevision": True, "percent": 100 if percent is None else percent}]
    if percent is not None and percent < 100:
        rest = {"latestRevision": False, "revisionName": rolled_out, "tag": "prev"}
        targets.append({**rest, "percent": 100 - percent})
    return targets


def _propagate(status: Json, component: Json, kstatus: Json) -> None:
    """What KServe takes over; also which Revision it thinks was rolled out last."""
    ready, created = kstatus.get("latestReadyRevisionName"), kstatus["latestCreatedRevisionName"]
    shares: dict[str, int] = {}
    for target in kstatus["traffic"]:
        name = target["revisionName"]
        shares[name] = shares.get(name, 0) + target["percent"]
    for target in kstatus["traffic"]:
        if not target["latestRevision"] or target["revisionName"] != ready:
            continue
        if component.get("latestRolledoutRevision") != ready:
            if target["percent"] == 100:
                component["previousRolledoutRevision"] = component.get(
                    "latestRolledoutRevision", ""
                )
                component["latestRolledoutRevision"] = ready
        elif ready == created and target["percent"] < 100 and shares[ready] == 100:
            previous = component.get("previousRolledoutRevision")
            if previous:
                component["latestRolledoutRevision"] = previous
    component["latestCreatedRevision"] = created
    if ready:
        component["latestReadyRevision"] = ready
        component["url"] = "http://predictor.example.com"
    component["traffic"] = kstatus["traffic"]
    taken = {
        "Ready": "PredictorReady",
        "RoutesReady": "PredictorRouteReady",
        "ConfigurationsReady": "PredictorConfigurationReady",
    }
    by_type = {c["type"]: c for c in kstatus["conditions"]}
    new = [{**by_type[kind], "type": ours} for kind, ours in taken.items()]
    new.append({**by_type["RoutesReady"], "type": "RoutesReady"})
    new.append({**by_type["ConfigurationsReady"], "type": "LatestDeploymentReady"})
    new.append({**by_type["RoutesReady"], "type": "IngressReady"})
    status["conditions"] = sorted(new, key=lambda c: c["type"])
    status["observedGeneration"] = kstatus["observedGeneration"]


def _condition(kind: str, met: bool, message: str) -> Json:
    return {"type": kind, "status": str(met), **({"message": message} if message else {})}
