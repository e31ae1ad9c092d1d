"""Katib's kinds, for a real API server: as loose as Katib's own definitions of them."""

from typing import Any

__all__ = ["crds"]

Json = dict[str, Any]


def crds() -> list[Json]:
    """CustomResourceDefinitions of Experiment, Suggestion and Trial, each with its status apart."""
    return [_crd(kind) for kind in ("Experiment", "Suggestion", "Trial")]


def _crd(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": anything},
        "additionalPrinterColumns": [
            {"name": "Type", "type": "string", "jsonPath": ".status.conditions[-1:].type"},
            {"name": "Status", "type": "string", "jsonPath": ".status.conditions[-1:].status"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kubeflow.org"},
        "spec": {
            "group": "kubeflow.org",
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }
