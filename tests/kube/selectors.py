"""Label selectors: `a=b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a`, `!a`, joined by commas."""

import re
from typing import Any

__all__ = ["labels_match"]

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")


def labels_match(found: dict[str, Any], selector: str) -> bool:
    """Do an object's labels meet every part of a selector?"""
    labels = found["metadata"].get("labels") or {}
    parts = [p for p in re.split(r",(?![^(]*\))", selector) if p.strip()]
    return all(_meets(labels, part.strip()) for part in parts)


def _meets(labels: dict[str, str], part: str) -> bool:
    if listed := _SET.match(part):
        name, how, values = listed.groups()
        among = labels.get(name) in {v.strip() for v in values.split(",")}
        return among if how == "in" else not among
    if "!=" in part:
        name, value = part.split("!=")
        return labels.get(name.strip()) != value.strip()
    if "=" in part:
        name, value = re.split("==?", part)
        return labels.get(name.strip()) == value.strip()
    return part[1:] not in labels if part.startswith("!") else part in labels
