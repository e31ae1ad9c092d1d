from typing import Any

import kubernetes_validate
import pytest
from pydantic import ValidationError

from tests.manifests.istio_schemas import ISTIO_MODELS
from tests.manifests.operator_schemas import OPERATOR_MODELS
from tests.manifests.sdk_schema import mistakes
from tests.unit.manifests.conftest import Overlay

OURS = OPERATOR_MODELS | ISTIO_MODELS
KSERVE = {
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime"): "V1alpha1ClusterServingRuntime",
}
# The oldest that Kubeflow's releases of the last two years ran on, and the newest there is.
VERSIONS = ["1.27", "1.37"]


def kind_of(resource: dict[str, Any]) -> tuple[str, str]:
    return resource["apiVersion"], resource["kind"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_of_kubernetes_passes_the_official_schema(
    overlay: Overlay, version: str
) -> None:
    own = [r for r in overlay.resources if kind_of(r) not in OURS.keys() | KSERVE.keys()]
    assert len(own) > 15
    for resource in own:
        kubernetes_validate.validate(resource, version, strict=True)


def test_every_other_resource_passes_its_schema(overlay: Overlay) -> None:
    for resource in overlay.resources:
        kind = kind_of(resource)
        if kind in OURS:
            OURS[kind].model_validate(resource)
        elif kind in KSERVE:
            assert mistakes(resource, KSERVE[kind]) == []


def test_the_schemas_find_mistakes(kubeflow: Overlay) -> None:
    runtime = kubeflow.one("ClusterServingRuntime", "kontinual")
    wrong = {**runtime["spec"], "multimodel": True, "protocolVersions": "v1"}
    found = mistakes({**runtime, "spec": wrong}, "V1alpha1ClusterServingRuntime")
    assert found == [
        ".spec.multimodel: V1alpha1ServingRuntimeSpec has no such field",
        ".spec.protocolVersions: a list is needed",
    ]
    deployment = kubeflow.one("Deployment", "kontinual-trigger")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {**deployment, "spec": {**deployment["spec"], "replica": 2}}, "1.31", strict=True
        )
    monitor = kubeflow.one("ServiceMonitor", "kontinual-trigger")
    with pytest.raises(ValidationError, match=r"spec\.endpoint\b"):
        OURS[kind_of(monitor)].model_validate(
            {**monitor, "spec": {**monitor["spec"], "endpoint": []}}
        )
