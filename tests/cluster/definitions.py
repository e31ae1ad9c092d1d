"""CustomResourceDefinitions of what Kubeflow brings, for a cluster that has it not.

Their schemas are those of the SDKs' models and of our own models of Prometheus Operator's and
Istio's resources, so the API server prunes and refuses as with the real ones, as far as we use
them. Where no model is to be had (Gateway API, Knative) any field is taken.
"""

import re
from typing import Any

import kserve
from pydantic import BaseModel

from tests.cluster.imitation.katib import crds as katib
from tests.manifests.istio_schemas import ISTIO_MODELS
from tests.manifests.operator_schemas import OPERATOR_MODELS

__all__ = ["definitions"]

Json = dict[str, Any]
ANYTHING: Json = {"x-kubernetes-preserve-unknown-fields": True}
ANY_OBJECT: Json = {"type": "object", **ANYTHING}
PLAIN: dict[str, Json] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": ANYTHING,
}
# Without it Kubernetes lets nobody define kinds in a group of its own, such as the gateway's.
APPROVED = {"api-approved.kubernetes.io": "unapproved, for a test"}
# What JSON Schema says and a structural schema has no word for.
DROPPED = {"title", "default", "additionalProperties", "$defs", "description"}


def definitions() -> list[Json]:
    """Of all kinds that our manifests, and what we render and create, are made of."""
    models = {**OPERATOR_MODELS, **ISTIO_MODELS}
    own = [
        definition(group_version, kind, _of_pydantic(model))
        for (group_version, kind), model in models.items()
    ]
    serving = [
        definition(
            "serving.kserve.io/v1beta1",
            "InferenceService",
            _of_sdk("V1beta1InferenceServiceSpec"),
            status=True,
        ),
        definition(
            "serving.kserve.io/v1alpha1",
            "ClusterServingRuntime",
            _of_sdk("V1alpha1ServingRuntimeSpec"),
            scope="Cluster",
        ),
    ]
    loose = [
        definition("gateway.networking.k8s.io/v1", "HTTPRoute", ANY_OBJECT, status=True),
        definition("serving.knative.dev/v1", "Service", ANY_OBJECT, status=True),
        definition("serving.knative.dev/v1", "Revision", ANY_OBJECT, status=True),
    ]
    return [*own, *serving, *loose, *katib()]


def definition(
    group_version: str, kind: str, spec: Json, *, scope: str = "Namespaced", status: bool = False
) -> Json:
    """A definition whose objects have this spec, and perhaps a status apart."""
    group, version = group_version.split("/")
    plural = re.sub("y$", "ie", kind.lower()) + "s"
    schema = {"type": "object", "properties": {"spec": spec, "status": ANY_OBJECT}}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        **({"subresources": {"status": {}}} if status else {}),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": APPROVED},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [served],
        },
    }


def _of_pydantic(model: type[BaseModel]) -> Json:
    tree = model.model_json_schema(by_alias=True)
    return _structural(tree["properties"]["spec"], tree.get("$defs", {}))


def _structural(tree: Any, known: Json) -> Any:
    """A JSON Schema of pydantic's as a structural one: no references, no unions with null."""
    if "$ref" in tree:
        return _structural(known[tree["$ref"].rpartition("/")[2]], known)
    if "anyOf" in tree:
        chosen, *others = [t for t in tree["anyOf"] if t != {"type": "null"}]
        assert not others, f"a union has no place in a structural schema: {tree}"
        return {**_structural(chosen, known), "nullable": True}
    made = {key: value for key, value in tree.items() if key not in DROPPED}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "items" in tree:
        made["items"] = _structural(tree["items"], known)
    if "properties" in tree:
        made["properties"] = {k: _structural(v, known) for k, v in tree["properties"].items()}
    elif isinstance(tree.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(tree["additionalProperties"], known)
    elif "patternProperties" in tree:
        (value,) = made.pop("patternProperties").values()
        made["additionalProperties"] = _structural(value, known)
    return made


def _of_sdk(kind: str) -> Json:
    """By a model of KServe's client; what is Kubernetes' own within it is taken as it comes."""
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        return {"type": "array", "items": _of_sdk(listed[1])}
    if mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {"type": "object", "additionalProperties": _of_sdk(mapped[1])}
    if kind in PLAIN:
        return PLAIN[kind]
    model = getattr(kserve, kind, None)
    if model is None:
        return ANY_OBJECT
    return {
        "type": "object",
        "properties": {
            name: _of_sdk(model.openapi_types[attribute])
            for attribute, name in model.attribute_map.items()
        },
    }
