"""Katib's trial controller: a Job for each Trial, and what became of it."""

import copy
import statistics
from typing import Any

from tests.cluster.imitation.katib.collector import UNAVAILABLE, observe, reported
from tests.cluster.imitation.katib.conditions import has, mark, now
from tests.cluster.imitation.katib.objects import Objects, owned

__all__ = ["ENDS", "TrialController", "median_rule", "objective_value"]

Json = dict[str, Any]
ENDS = ("Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable")


class TrialController:
    """Brings Trials a step further at each call."""

    def __init__(self, objects: Objects) -> None:
        self.collects = True  # False: the collector can not reach Katib's database
        self.outputs: dict[str, str] = {}  # what Katib's database has of trials, by name
        self._objects = objects

    def reconcile(self, trial: Json) -> None:
        before = copy.deepcopy(trial.get("status"))
        if not has(trial, "Created"):
            trial["status"] = {"startTime": now()}
            mark(trial, "Created", "TrialCreated", "Trial is created")
        else:
            self._advance(trial)
        if trial.get("status") != before:
            self._objects.put_status("trials", trial)

    def _advance(self, trial: Json) -> None:
        name = trial["metadata"]["name"]
        job = self._objects.job(name)
        if has(trial, *ENDS):
            if job is not None and not trial["spec"].get("retainRun"):
                self._objects.delete_job(name)
        elif job is None:
            self._start(trial)
        elif held := _holds(job, "Failed"):
            mark(trial, "Failed", *_with_job("TrialFailed", "Trial has failed", held))
            trial["status"]["completionTime"] = now()
        elif held := _holds(job, "Complete"):
            self._collect(trial, held)
        elif trial["spec"].get("earlyStoppingRules"):
            self._stop_early(trial)

    def _start(self, trial: Json) -> None:
        """Create the Job; a pod that the kubelet refuses waits for the Job's deadline, in short."""
        job = _job(trial)
        if refusal := _refused(job["spec"]["template"]["spec"]):
            mark(trial, "Failed", "TrialFailed. Job reason: DeadlineExceeded", refusal)
            return
        self._objects.create_job(job)
        mark(trial, "Running", "TrialRunning", "Trial is running")

    def _collect(self, trial: Json, held: Json) -> None:
        if not self.collects:
            return
        spec = trial["spec"]
        output = self._objects.output(trial["metadata"]["name"], spec["primaryContainerName"])
        self.outputs[trial["metadata"]["name"]] = output
        trial["status"]["observation"] = observe(output, spec["objective"])
        trial["status"]["completionTime"] = now()
        if _objective_text(trial) == UNAVAILABLE:
            reason, message = "TrialMetricsUnavailable", "Metrics are not available"
            mark(trial, "MetricsUnavailable", *_with_job(reason, message, held))
        else:
            mark(trial, "Succeeded", *_with_job("TrialSucceeded", "Trial has succeeded", held))

    def _stop_early(self, trial: Json) -> None:
        """End a trial that broke its rule at some step; its best value so far counts."""
        spec = trial["spec"]
        output = self._objects.output(trial["metadata"]["name"], spec["primaryContainerName"])
        for rule in spec["earlyStoppingRules"]:
            values = [float(v) for _, _, v in reported(output, [rule["name"]])]
            better = min if rule["comparison"] == "greater" else max
            for step in range(int(rule["startStep"]), len(values) + 1):
                best, limit = better(values[:step]), float(rule["value"])
                if best > limit if rule["comparison"] == "greater" else best < limit:
                    trial["status"]["observation"] = observe(output, spec["objective"])
                    mark(trial, "EarlyStopped", "TrialEarlyStopped", "Trial is early stopped")
                    return


def objective_value(trial: Json) -> float | None:
    """The objective of a trial by its strategy; None where it is not available, or no number."""
    try:
        return float(_objective_text(trial))
    except ValueError:
        return None


def _objective_text(trial: Json) -> str:
    objective = trial["spec"]["objective"]
    name = objective["objectiveMetricName"]
    strategy = next(s["value"] for s in objective["metricStrategies"] if s["name"] == name)
    for metric in (trial.get("status", {}).get("observation") or {}).get("metrics", []):
        if metric["name"] == name:
            return str(metric[strategy])
    return UNAVAILABLE


def median_rule(experiment: Json, succeeded: list[Json], outputs: list[str]) -> list[Json]:
    """The rule that new trials get; none until enough trials have succeeded."""
    settings = {
        s["name"]: int(s["value"]) for s in experiment["spec"]["earlyStopping"]["algorithmSettings"]
    }
    if len(succeeded) < settings["min_trials_required"]:
        return []
    objective = experiment["spec"]["objective"]
    name, start = objective["objectiveMetricName"], settings["start_step"]
    averages = [
        statistics.fmean(float(v) for _, _, v in reported(output, [name])[:start])
        for output in outputs
    ]
    worse = "greater" if objective["type"] == "minimize" else "less"
    # Katib calls it the median; it takes the mean.
    value = repr(statistics.fmean(averages))
    return [{"name": name, "value": value, "comparison": worse, "startStep": start}]


def _job(trial: Json) -> Json:
    """The Trial's Job, its command joined for a shell as Katib's webhook does to the pod."""
    job = copy.deepcopy(trial["spec"]["runSpec"])
    job["metadata"] |= owned(trial)
    pod = job["spec"]["template"]
    labels = trial["metadata"].get("labels", {}) | {
        "katib.kubeflow.org/trial": job["metadata"]["name"]
    }
    pod.setdefault("metadata", {}).setdefault("labels", {}).update(labels)
    for container in pod["spec"]["containers"]:
        if container["name"] == trial["spec"]["primaryContainerName"]:
            line = " ".join([*container["command"], *container.get("args", [])])
            container |= {"command": ["sh", "-c"], "args": [line]}
    return job


def _refused(pod: Json) -> str | None:
    """What the kubelet has against the metrics collector that Katib's webhook adds to the pod.

    As Katib is installed, that container has no security context, and its image no user but root.
    """
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") and not context.get("runAsUser"):
        return "metrics-logger-and-collector: container has runAsNonRoot and image will run as root"
    return None


def _holds(job: Json, kind: str) -> Json | None:
    for held in job.get("status", {}).get("conditions") or []:
        if held["type"] == kind and held["status"] == "True":
            return dict(held)
    return None


def _with_job(reason: str, message: str, held: Json) -> tuple[str, str]:
    if held.get("message"):
        message = f"{message}. Job message: {held['message']}"
    if held.get("reason"):
        reason = f"{reason}. Job reason: {held['reason']}"
    return reason, message
