"""Katib's metrics collector: from lines of output to an observation, all of it strings."""

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["UNAVAILABLE", "observe", "reported"]

UNAVAILABLE = "unavailable"
_PATTERN = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def reported(output: str, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """(time, name, value) for each report of a metric, in the order of the output."""
    found = []
    for line in output.split("\n"):
        first = line.split(" ", 1)[0]
        time = first if _TIME.fullmatch(first) else ""
        for name, value, *_ in _PATTERN.findall(line):
            if name in names:
                found.append((time, name, value))
    return found


def observe(output: str, objective: dict[str, Any]) -> dict[str, Any]:
    """The observation of a trial; the objective is `unavailable` where the output has none."""
    names = [objective["objectiveMetricName"], *objective.get("additionalMetricNames", [])]
    logs = reported(output, names)
    if names[0] not in {name for _, name, _ in logs}:
        logs = [("", names[0], UNAVAILABLE)]
    return {"metrics": [_metric(s["name"], logs) for s in objective["metricStrategies"]]}


def _metric(name: str, logs: list[tuple[str, str, str]]) -> dict[str, str]:
    values = [(time, value) for time, known, value in logs if known == name]
    numbers = [value for _, value in values if value not in {UNAVAILABLE, ""}]
    latest = max(values, key=lambda v: v[0])[1] if values else UNAVAILABLE
    for time, value in values:  # of equally late ones, the last
        if time == max(t for t, _ in values):
            latest = value
    return {
        "name": name,
        "latest": latest,
        "min": min(numbers, key=float, default=UNAVAILABLE),
        "max": max(numbers, key=float, default=UNAVAILABLE),
    }
