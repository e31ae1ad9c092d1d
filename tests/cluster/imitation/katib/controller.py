"""Katib's experiment and suggestion controllers, and the loop that drives all three."""

import copy
import json
import logging
import random
import string
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.cluster.imitation.katib.conditions import has, mark, now
from tests.cluster.imitation.katib.objects import Objects, owned
from tests.cluster.imitation.katib.sampler import InvalidSettings, Sampler
from tests.cluster.imitation.katib.trials import ENDS, TrialController, median_rule, objective_value
from tests.cluster.imitation.katib.webhook import TRIAL_META, admit
from tests.repeating import repeating

__all__ = ["KatibController"]

Json = dict[str, Any]
_EXPERIMENT = "katib.kubeflow.org/experiment"
_LISTS = {
    "Killed": "killedTrialList",
    "Failed": "failedTrialList",
    "Succeeded": "succeededTrialList",
    "EarlyStopped": "earlyStoppedTrialList",
    "Running": "runningTrialList",
    "MetricsUnavailable": "metricsUnavailableTrialList",
}
_COUNTS = {
    "trialsKilled": "killedTrialList",
    "trialsFailed": "failedTrialList",
    "trialsSucceeded": "succeededTrialList",
    "trialsEarlyStopped": "earlyStoppedTrialList",
    "trialsRunning": "runningTrialList",
    "trialsPending": "pendingTrialList",
    "trialMetricsUnavailable": "metricsUnavailableTrialList",
}
_PASSING = (ApiException, HTTPError)
_log = logging.getLogger(__name__)


class KatibController:
    """All of Katib for one namespace.

    Args:
        client: of any API server that knows Katib's kinds.
        namespace: that is looked after.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._objects = Objects(client, namespace)
        self.trials = TrialController(self._objects)
        self.error: Exception | None = None
        self._samplers: dict[str, Sampler] = {}  # by the Experiment's uid

    @contextmanager
    def running(self, *, pause_seconds: float = 0.005) -> Iterator["KatibController"]:
        """Reconcile in a thread while the context lasts; `error` is what ended it before that."""

        def turn() -> None:
            try:
                self.reconcile()
            except Exception as exc:  # a mistake of this imitation, for who waits for it
                self.error = exc
                raise

        with repeating(turn, pause=pause_seconds, name="katib"):
            yield self

    def reconcile(self) -> None:
        """One round over everything; a conflict or a fault is met by the next round."""
        try:
            for experiment in self._objects.list("experiments"):
                self._attempt(self._reconcile_experiment, experiment)
            for trial in self._objects.list("trials"):
                self._attempt(self.trials.reconcile, trial)
        except _PASSING as exc:
            _log.info("later: %s", exc)

    def _attempt(self, step: Any, thing: Json) -> None:
        try:
            step(thing)
        except _PASSING as exc:
            _log.info("%s: later: %s", thing["metadata"]["name"], exc)

    def _reconcile_experiment(self, experiment: Json) -> None:
        before = copy.deepcopy(experiment.get("status"))
        if not has(experiment, "Created"):
            experiment["status"] = {"startTime": now()}
            mark(experiment, "Created", "ExperimentCreated", "Experiment is created")
        elif not has(experiment, "Succeeded", "Failed"):
            # A cluster without our webhook stores what was sent.
            experiment["spec"] = admit(experiment, None)["spec"]
            name = experiment["metadata"]["name"]
            trials = self._objects.list("trials", f"{_EXPERIMENT}={name}")
            if trials:
                self._update_status(experiment, trials)
            if not has(experiment, "Succeeded", "Failed"):
                self._reconcile_trials(experiment, trials)
        if experiment.get("status") != before:
            self._objects.put_status("experiments", experiment)

    def _update_status(self, experiment: Json, trials: list[Json]) -> None:
        status, spec = experiment["status"], experiment["spec"]
        lists: dict[str, list[str]] = {key: [] for key in (*_LISTS.values(), "pendingTrialList")}
        for trial in trials:
            state = next((k for k in _LISTS if has(trial, k)), "")
            lists[_LISTS.get(state, "pendingTrialList")].append(trial["metadata"]["name"])
        status |= {"trials": len(trials), **{k: len(lists[v]) for k, v in _COUNTS.items()}}
        for key, names in lists.items():
            status.pop(key, None)
            if names:
                status[key] = names
        reached = self._find_optimum(experiment, trials)
        failed = status["trialsFailed"] + status["trialMetricsUnavailable"]
        done = failed + sum(status[f"trials{k}"] for k in ("Succeeded", "Killed", "EarlyStopped"))
        most_failed, most = spec.get("maxFailedTrialCount"), spec.get("maxTrialCount")
        if reached:
            end = ("Succeeded", "ExperimentGoalReached", "Objective goal has reached")
        elif most_failed is not None and failed and failed >= most_failed:
            end = ("Failed", "ExperimentFailed", "max failed count has reached")
        elif most is not None and done >= most:
            end = ("Succeeded", "ExperimentMaxTrialsReached", "max trial count has reached")
        else:
            mark(experiment, "Running", "ExperimentRunning", "Experiment is running")
            return
        kind, reason, why = end
        mark(experiment, kind, reason, f"Experiment has {kind.lower()} because {why}")
        status["completionTime"] = now()

    def _find_optimum(self, experiment: Json, trials: list[Json]) -> bool:
        """Note the best trial; has the goal been reached?"""
        objective = experiment["spec"]["objective"]
        sign = 1 if objective["type"] == "minimize" else -1
        valued = [(sign * v, t) for t in trials if (v := objective_value(t)) is not None]
        if not valued:
            return False
        value, best = min(valued, key=lambda pair: pair[0])
        experiment["status"]["currentOptimalTrial"] = {
            "bestTrialName": best["metadata"]["name"],
            "parameterAssignments": best["spec"]["parameterAssignments"],
            "observation": best["status"]["observation"],
        }
        goal = objective.get("goal")
        return goal is not None and value <= sign * goal

    def _reconcile_trials(self, experiment: Json, trials: list[Json]) -> None:
        spec = experiment["spec"]
        active = sum(not has(t, *ENDS) for t in trials)
        wanted = spec["parallelTrialCount"]
        if spec.get("maxTrialCount") is not None:
            wanted = min(wanted, spec["maxTrialCount"] - (len(trials) - active))
        if wanted > active:
            for assignment in self._suggested(experiment, trials, wanted - active):
                self._objects.create("trials", _trial(experiment, assignment))

    def _suggested(self, experiment: Json, trials: list[Json], count: int) -> list[Json]:
        """Assignments that no Trial was made of yet, so many as are wanted."""
        suggestion = self._suggestion(experiment)
        if not has(suggestion, "Created"):
            suggestion["status"] = {"startTime": now()}
            mark(suggestion, "Created", "SuggestionCreated", "Suggestion is created")
        if has(suggestion, "Failed"):
            mark(experiment, "Failed", "ExperimentFailed", "Suggestion has failed")
            return []
        known = suggestion["status"].setdefault("suggestions", [])
        names = {t["metadata"]["name"] for t in trials}
        new = [s for s in known if s["name"] not in names]
        if len(new) < count:
            self._propose(experiment, suggestion, trials, count - len(new))
            self._objects.put_status("suggestions", suggestion)
            return []  # Trials are made of what is stored, at the next round
        return new[:count]

    def _suggestion(self, experiment: Json) -> Json:
        name = experiment["metadata"]["name"]
        found = self._objects.get("suggestions", name)
        if found is None:
            spec = {k: experiment["spec"][k] for k in ("algorithm", "resumePolicy")}
            labels = experiment["metadata"].get("labels", {})
            found = self._objects.create(
                "suggestions",
                {
                    "apiVersion": "kubeflow.org/v1beta1",
                    "kind": "Suggestion",
                    "metadata": {"name": name, "labels": labels, **owned(experiment)},
                    "spec": spec,
                },
            )
        return found

    def _propose(self, experiment: Json, suggestion: Json, trials: list[Json], count: int) -> None:
        uid = experiment["metadata"]["uid"]
        try:
            if uid not in self._samplers:
                self._samplers[uid] = Sampler(experiment)
        except InvalidSettings as exc:
            text = f"Validation failed: ValidateAlgorithmSettings Error: {exc}"
            mark(suggestion, "Failed", "SuggestionFailed", text)
            return
        mark(suggestion, "Running", "SuggestionRunning", "Suggestion is running")
        succeeded = [t for t in trials if has(t, "Succeeded")]
        for trial in succeeded:
            value = objective_value(trial)
            name, assigned = trial["metadata"]["name"], trial["spec"]["parameterAssignments"]
            if value is not None:
                self._samplers[uid].tell(name, assigned, value)
        rules = self._rules(experiment, succeeded)
        for assignments in self._samplers[uid].suggest(count):
            tail = "".join(random.choices(string.ascii_lowercase + string.digits, k=8))
            one = {
                "name": f"{experiment['metadata']['name']}-{tail}",
                "parameterAssignments": assignments,
            }
            suggestion["status"]["suggestions"].append(
                one | ({"earlyStoppingRules": rules} if rules else {})
            )
        suggestion["status"]["suggestionCount"] = len(suggestion["status"]["suggestions"])

    def _rules(self, experiment: Json, succeeded: list[Json]) -> list[Json]:
        if not experiment["spec"].get("earlyStopping"):
            return []
        return median_rule(
            experiment,
            succeeded,
            [self.trials.outputs[t["metadata"]["name"]] for t in succeeded],
        )


def _trial(experiment: Json, assignment: Json) -> Json:
    spec, name = experiment["spec"], assignment["name"]
    template = spec["trialTemplate"]
    labels = experiment["metadata"].get("labels", {}) | {
        _EXPERIMENT: experiment["metadata"]["name"]
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Trial",
        "metadata": {"name": name, "labels": labels, **owned(experiment)},
        "spec": {
            "objective": spec["objective"],
            "parameterAssignments": assignment["parameterAssignments"],
            "earlyStoppingRules": assignment.get("earlyStoppingRules", []),
            "runSpec": _run_spec(experiment, assignment),
            "retainRun": template.get("retain", False),
            "metricsCollector": spec["metricsCollectorSpec"],
            "primaryContainerName": template["primaryContainerName"],
            "successCondition": template["successCondition"],
            "failureCondition": template["failureCondition"],
        },
    }


def _run_spec(experiment: Json, assignment: Json) -> Json:
    """The template with values in place of `${trialParameters.x}`: a replacement in its text."""
    template = experiment["spec"]["trialTemplate"]
    values = {a["name"]: a["value"] for a in assignment["parameterAssignments"]}
    text = json.dumps(template["trialSpec"], ensure_ascii=False)
    for parameter in template["trialParameters"]:
        reference = parameter["reference"]
        is_name = TRIAL_META.fullmatch(reference)
        value = assignment["name"] if is_name else values.pop(reference)
        text = text.replace(f"${{trialParameters.{parameter['name']}}}", value)
    assert not values, f"assignments that no trial parameter refers to: {values}"
    job: Json = json.loads(text)
    metadata = job.setdefault("metadata", {})
    metadata |= {"name": assignment["name"], "namespace": experiment["metadata"]["namespace"]}
    return job
