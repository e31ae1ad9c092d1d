"""Trees of YAML against the models of KServe's and Kubernetes' Python clients."""

import re
from typing import Any

import kserve
import kubernetes.client

__all__ = ["mistakes"]

PLAIN = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
    "datetime": str,
}


def mistakes(tree: Any, kind: str, path: str = "") -> list[str]:
    """Fields of a tree that the model of this kind does not know, or knows otherwise."""
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(tree, list):
            return [f"{path}: a list is needed"]
        return [m for i, v in enumerate(tree) for m in mistakes(v, listed[1], f"{path}[{i}]")]
    if mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        if not isinstance(tree, dict):
            return [f"{path}: a mapping is needed"]
        return [m for key, v in tree.items() for m in mistakes(v, mapped[1], f"{path}.{key}")]
    if kind in PLAIN:
        return [] if isinstance(tree, PLAIN[kind]) else [f"{path}: {tree!r} is no {kind}"]
    model = getattr(kserve, kind, None) or getattr(kubernetes.client, kind)
    if not isinstance(tree, dict):
        return [f"{path}: a mapping is needed"]
    kinds = {yaml: model.openapi_types[name] for name, yaml in model.attribute_map.items()}
    found = [f"{path}.{key}: {kind} has no such field" for key in tree.keys() - kinds.keys()]
    known = [
        m for k in tree.keys() & kinds.keys() for m in mistakes(tree[k], kinds[k], f"{path}.{k}")
    ]
    return found + known
