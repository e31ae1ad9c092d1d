"""What Katib says of an Experiment and of its Trials."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from kontinual.errors import TrainingError
from kontinual.spec import Metric
from kontinual.tracking import TrialRecord
from kontinual.tuning.assignments import read
from kontinual.tuning.katib.experiment import COSTS
from kontinual.tuning.katib.job import CONTAINER
from kontinual.tuning.space import Space

__all__ = ["condition", "created_at", "finished", "last_words", "record_of", "waiting"]

_ENDS = {
    "Succeeded": "",
    "Failed": "its Job failed",
    "Killed": "it was killed",
    "MetricsUnavailable": "Katib found no metric in its output",
    "EarlyStopped": "stopped early: at the same step others were better",
}


def condition(thing: Mapping[str, Any], *kinds: str) -> dict[str, Any] | None:
    """The first condition of these types that holds."""
    for found in thing.get("status", {}).get("conditions") or []:
        if found["type"] in kinds and found["status"] == "True":
            return dict(found)
    return None


def created_at(thing: Mapping[str, Any]) -> datetime:
    """When an object was made, by the cluster's clock, UTC."""
    return datetime.fromisoformat(thing["metadata"]["creationTimestamp"])


def finished(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The Trials that came to an end, in the order they did."""
    ended = [dict(trial) for trial in trials if condition(trial, *_ENDS)]
    return sorted(ended, key=lambda t: (_ended_at(t), str(t["metadata"]["name"])))


def record_of(
    trial: Mapping[str, Any],
    space: Space,
    *,
    number: int,
    seed: int,
    metric: Metric,
    own: TrialRecord | None,
    words: str | None,
) -> TrialRecord:
    """A finished Trial as the record of a search.

    Args:
        trial: as the cluster has it.
        space: what it was taken from.
        number: its place in the search.
        seed: of the trial.
        metric: that it can not do without.
        own: what its process logged of itself, if it came so far.
        words: what its pod says of a failure, if it is known.

    Raises:
        TrainingError: its assignments are none of this space.
    """
    pairs = {a["name"]: a["value"] for a in trial["spec"].get("parameterAssignments") or []}
    suggestion = read(space, pairs)
    figures = _figures(trial)
    error = _error(trial, own, words)
    if not error and metric not in figures:
        error = f"Katib has no {metric} of it"
    return TrialRecord(
        number=number,
        **suggestion.model_dump(),
        metrics={} if error else {k: v for k, v in figures.items() if k not in COSTS},
        **{name: figures.get(name, getattr(own, name, 0)) for name in COSTS},
        seed=seed,
        state="failed" if error else "complete",
        error=error or None,
    )


def waiting(pods: Sequence[Any]) -> list[str]:
    """Why pods do not run, each reason once: `ErrImagePull: …`, `Unschedulable: …`."""
    reasons: dict[str, None] = {}
    for status in (pod.status for pod in pods if pod.status is not None):
        for held in status.conditions or []:
            if held.type == "PodScheduled" and held.status == "False":
                reasons[f"{held.reason}: {held.message}"] = None
        for container in status.container_statuses or []:
            state = container.state.waiting
            if state and state.reason not in {"ContainerCreating", "PodInitializing"}:
                reasons[f"{state.reason}: {state.message or container.image}"] = None
    return list(reasons)


def last_words(pods: Sequence[Any]) -> dict[str, str]:
    """Why trials' pods failed, by the trial's name, which is that of its Job.

    `OOMKilled, exit code 137`; `Error, exit code 1: there is no span 3`; `Evicted: The node was low
    on resource: memory.`
    """
    words = {}
    for pod in pods:
        trial = (pod.metadata.labels or {}).get("job-name")
        # Katib's sampler has a pod with the same labels, which is of no Job.
        if trial is None or pod.status is None:
            continue
        said = [f"{pod.status.reason}: {pod.status.message}"] if pod.status.reason else []
        for container in pod.status.container_statuses or []:
            ended = container.state.terminated
            if container.name == CONTAINER and ended and ended.exit_code:
                end = f"{ended.reason}, exit code {ended.exit_code}"
                said.append(f"{end}: {ended.message.strip()}" if ended.message else end)
        if said:
            words[trial] = "; ".join(said)
    return words


def _ended_at(trial: Mapping[str, Any]) -> str:
    held = condition(trial, *_ENDS) or {}
    return str(trial["status"].get("completionTime") or held.get("lastTransitionTime") or "")


def _figures(trial: Mapping[str, Any]) -> dict[str, float]:
    """The latest value of each metric that Katib has a number of."""
    figures = {}
    for metric in (trial["status"].get("observation") or {}).get("metrics") or []:
        # It says `unavailable` of one it did not find, and nothing of one that was no number.
        with suppress(ValueError):
            figures[metric["name"]] = float(metric["latest"])
    return figures


def _error(trial: Mapping[str, Any], own: TrialRecord | None, words: str | None) -> str:
    held = condition(trial, *_ENDS)
    if held is None:
        raise TrainingError(f"trial {trial['metadata']['name']} has not ended")
    if held["type"] == "Succeeded":
        return ""
    if own is not None and own.error:
        return own.error
    said = words or held.get("message") or held.get("reason") or ""
    return f"{_ENDS[held['type']]} ({said})" if said else _ENDS[held["type"]]
