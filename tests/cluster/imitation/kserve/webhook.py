"""KServe's admission webhooks for InferenceServices: defaults, and what is refused."""

from collections.abc import Callable

from tests.cluster.imitation.kserve.controller import MODE, Cluster
from tests.cluster.imitation.kserve.objects import Json
from tests.kube.objects import Refused

__all__ = ["webhook"]

_NOT_ON_A_CANARY = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def webhook(cluster: Cluster) -> Callable[[Json, Json | None], Json]:
    """What passes every InferenceService on its way into the API server."""

    def admit(wanted: Json, before: Json | None) -> Json:
        if wanted.get("kind") != "InferenceService":
            return wanted
        _default(wanted, cluster)
        _check_name_change(wanted, before)
        if wanted["spec"].get("canary"):
            _check_canaries(wanted)
        return wanted

    return admit


def _default(wanted: Json, cluster: Cluster) -> None:
    notes = wanted["metadata"].setdefault("annotations", {})
    if cluster.mode == "Standard":
        notes.setdefault(MODE, "Standard")
    if not cluster.canaries:
        wanted["spec"].pop("canary", None)  # a field that its CRD does not know is dropped


def _check_name_change(wanted: Json, before: Json | None) -> None:
    if before is None:
        return
    old, new = before["spec"]["predictor"], wanted["spec"]["predictor"]
    same_model = old["model"]["storageUri"] == new["model"]["storageUri"]
    if old.get("name") != new.get("name") and same_model:
        _refuse("predictor.name change requires a model change (e.g. storageUri)")


def _check_canaries(wanted: Json) -> None:
    if wanted["metadata"]["annotations"].get(MODE) != "Standard":
        _refuse("canary is only supported in Standard deployment mode")
    stable, total, names = wanted["spec"]["predictor"], 0, set()
    for index, entry in enumerate(wanted["spec"]["canary"]):
        predictor = entry["predictor"]
        name = predictor.get("name")
        if not name:
            _refuse(f"canary[{index}] predictor.name is required")
        if name in {*names, stable.get("name")}:
            _refuse(f'canary predictor.name "{name}" is duplicated, or the stable one\'s')
        for scaling in _NOT_ON_A_CANARY:
            if predictor.get(scaling):
                _refuse(f'canary "{name}" must not set {scaling} (canary uses fixed replicas)')
        if predictor.get("minReplicas", 0) > stable.get("minReplicas", 1):
            _refuse(f'canary "{name}" minReplicas must not exceed stable predictor minReplicas')
        names.add(name)
        total += entry["trafficPercent"]
    if total > 100:
        _refuse(f"sum of canary trafficPercent values ({total}) must be <= 100")


def _refuse(message: str) -> None:
    hook = "inferenceservice.kserve-webhook-server.validator"
    raise Refused(400, "BadRequest", f'admission webhook "{hook}" denied the request: {message}')
