"""The InferenceService of a loop, and the predictor of a version within it.

KServe copies every label and annotation of an InferenceService to its pods, so a
change of one restarts them all. What belongs to a version stands at its predictor.
"""

import copy
import re
from typing import Any

from kontinual.errors import GatewayError
from kontinual.spec import LOOP_LABEL, Loop

__all__ = [
    "GROUP",
    "RUNTIME",
    "SERVICE_ACCOUNT",
    "VERSION_LABEL",
    "check_version",
    "inference_service",
    "next_predictor",
    "predictor",
    "version_of",
]

Json = dict[str, Any]
GROUP, API_VERSION = "serving.kserve.io", "v1beta1"
RUNTIME = "kontinual"  # the ClusterServingRuntime, and the model format that it serves
SERVICE_ACCOUNT = "kontinual-predictor"  # of manifests/; KServe fetches models by its Secrets
VERSION_LABEL = "kontinual.dev/version"
SCALING = (
    "autoScaling",
    "canaryTrafficPercent",
    "maxReplicas",
    "minReplicas",
    "scaleMetric",
    "scaleMetricType",
    "scaleTarget",
)
"""Fields of a predictor that say how many pods there are, and nothing of what runs in them."""
_VERSION_ARGUMENT = "--version="


def inference_service(
    loop: Loop, version: str, storage_uri: str, *, collector: str | None = None
) -> Json:
    """The InferenceService that serves one version of a loop's model, and no canary.

    A rollout makes it for the first version. Applied by hand over one that is there, it
    takes the model back to this version.

    Args:
        loop: the declaration; its name is the InferenceService's.
        version: the registry's number.
        storage_uri: where KServe fetches the model package.
        collector: base URL that gets the log of requests; none: no log.
    """
    return {
        "apiVersion": f"{GROUP}/{API_VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": loop.name,
            "labels": {"app.kubernetes.io/part-of": "kontinual", LOOP_LABEL: loop.name},
        },
        "spec": {"predictor": predictor(loop, version, storage_uri, collector=collector)},
    }


def predictor(loop: Loop, version: str, storage_uri: str, *, collector: str | None = None) -> Json:
    """The predictor of a version, on the image of our ClusterServingRuntime."""
    check_version(version)
    serving = loop.serving
    arguments = [f"{_VERSION_ARGUMENT}{version}"]
    if collector:
        arguments.append(f"--collector={collector}")
    found: Json = {
        "labels": {VERSION_LABEL: version},
        "minReplicas": serving.replicas,
        "serviceAccountName": serving.service_account or SERVICE_ACCOUNT,
        "model": {
            "modelFormat": {"name": RUNTIME},
            "runtime": RUNTIME,
            "storageUri": storage_uri,
            "args": arguments,
            "resources": {"requests": dict(serving.requests), "limits": dict(serving.limits)},
        },
    }
    if serving.max_replicas is not None:
        found["maxReplicas"] = serving.max_replicas
    return found


def next_predictor(stable: Json, version: str, storage_uri: str) -> Json:
    """A predictor like the stable one in everything but the model, without its scaling.

    So what an operator changed at the stable one by hand (a node selector, memory) stays.
    """
    check_version(version)
    wanted = {k: copy.deepcopy(v) for k, v in stable.items() if k not in SCALING}
    wanted["labels"] = {**(wanted.get("labels") or {}), VERSION_LABEL: version}
    model = wanted["model"]
    model["storageUri"] = storage_uri
    kept = [a for a in model.get("args") or [] if not a.startswith(_VERSION_ARGUMENT)]
    model["args"] = [f"{_VERSION_ARGUMENT}{version}", *kept]
    return wanted


def version_of(predictor: Json) -> str:
    """Which version a predictor is.

    Raises:
        GatewayError: nothing says so; it was not made by a rollout.
    """
    version = (predictor.get("labels") or {}).get(VERSION_LABEL)
    if version is None or "model" not in predictor:
        raise GatewayError(
            f"the InferenceService's predictor has no label {VERSION_LABEL}: it was not made by "
            "Kontinual. Delete it, and the next rollout makes its own"
        )
    return str(version)


def check_version(version: str) -> None:
    """Refuse a version that can not be part of a pod's name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", version):
        raise GatewayError(f"a version is a short lower-case name like 7, but got {version!r}")
