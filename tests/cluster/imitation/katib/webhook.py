"""What Katib's webhook makes of an Experiment that is sent: defaults, or a refusal."""

import copy
import json
import re
from typing import Any

from tests.kube.objects import Refused

__all__ = ["TRIAL_META", "admit", "invalid"]

Json = dict[str, Any]
TRIAL_META = re.compile(r"\$\{trialSpec\.(.+?)\}")
_ALGORITHMS = {
    *("random", "tpe", "grid", "hyperband", "bayesianoptimization", "cmaes", "sobol"),
    *("multivariate-tpe", "enas", "darts", "pbt"),
}
_KINDS = {"int", "double", "discrete", "categorical"}
_DISTRIBUTIONS = {"uniform", "logUniform", "normal", "logNormal"}
_CONDITION = 'status.conditions.#(type=="{}")#|#(status=="True")#'


def admit(wanted: Json, before: Json | None) -> Json:
    """The object to store; Refused where Katib's validating webhook denies it."""
    if wanted.get("kind") != "Experiment":
        return wanted
    wanted = _with_defaults(wanted)
    problems = invalid(wanted)
    if before is not None and _spec(wanted) != _spec(before):
        problems.append("spec: Forbidden: only counts of trials are editable")
    if problems:
        text = 'admission webhook "validator.experiment.katib.kubeflow.org" denied the request: '
        raise Refused(400, "BadRequest", text + "; ".join(problems))
    return wanted


def invalid(experiment: Json) -> list[str]:
    """What Katib would refuse in an Experiment with its defaults."""
    name, spec = experiment["metadata"]["name"], experiment["spec"]
    problems = []
    if not re.match(r"^[a-z]([-a-z0-9]*[a-z0-9])?", name) or len(name) > 40:
        problems.append(f"metadata.name: Invalid value: {name!r}")
    problems += _counts(spec) + _objective(spec) + _template(spec)
    if spec.get("algorithm", {}).get("algorithmName") not in _ALGORITHMS:
        problems.append("spec.algorithm.algorithmName: Invalid value")
    stop = spec.get("earlyStopping")
    if stop is not None and stop.get("algorithmName") != "medianstop":
        problems.append("spec.earlyStopping.algorithmName: Invalid value")
    if not spec.get("parameters"):
        problems.append("spec.parameters or spec.nasConfig must be specified")
    for index, parameter in enumerate(spec.get("parameters", [])):
        problems += [f"spec.parameters[{index}]: {text}" for text in _parameter(parameter)]
    return problems


def _with_defaults(experiment: Json) -> Json:
    experiment = copy.deepcopy(experiment)
    spec = experiment["spec"]
    spec.setdefault("parallelTrialCount", 3)
    spec.setdefault("resumePolicy", "Never")
    spec.setdefault("metricsCollectorSpec", {}).setdefault("collector", {"kind": "StdOut"})
    template = spec.get("trialTemplate", {})
    if template.get("trialSpec", {}).get("kind") == "Job":
        template.setdefault("successCondition", _CONDITION.format("Complete"))
        template.setdefault("failureCondition", _CONDITION.format("Failed"))
    objective = spec.get("objective", {})
    strategies = objective.setdefault("metricStrategies", [])
    extreme = {"minimize": "min", "maximize": "max"}.get(objective.get("type", ""), "latest")
    for name in (objective.get("objectiveMetricName"), *objective.get("additionalMetricNames", [])):
        if name not in {s["name"] for s in strategies}:
            strategies.append({"name": name, "value": extreme})
    for parameter in spec.get("parameters", []):
        parameter["feasibleSpace"].setdefault("distribution", "uniform")
    return experiment


def _spec(experiment: Json) -> Json:
    counts = {"parallelTrialCount", "maxTrialCount", "maxFailedTrialCount"}
    return {k: v for k, v in experiment["spec"].items() if k not in counts}


def _counts(spec: Json) -> list[str]:
    most, failed, parallel = (
        spec.get(k) for k in ("maxTrialCount", "maxFailedTrialCount", "parallelTrialCount")
    )
    problems = []
    if most is not None and most <= 0:
        problems.append("spec.maxTrialCount: must be greater than 0")
    if parallel <= 0 or (most is not None and parallel > most):
        problems.append("spec.parallelTrialCount: should be less than or equal to maxTrialCount")
    if failed is not None and (failed < 0 or (most is not None and failed > most)):
        problems.append("spec.maxFailedTrialCount: should be less than or equal to maxTrialCount")
    return problems


def _objective(spec: Json) -> list[str]:
    objective = spec.get("objective", {})
    problems = []
    if objective.get("type") not in {"minimize", "maximize"}:
        problems.append("spec.objective.type: must be minimize or maximize")
    if not objective.get("objectiveMetricName"):
        problems.append("spec.objective.objectiveMetricName: must be specified")
    if objective.get("objectiveMetricName") in objective.get("additionalMetricNames", []):
        problems.append("spec.objective.additionalMetricNames: contains the objective")
    return problems


def _parameter(parameter: Json) -> list[str]:
    kind, space = parameter.get("parameterType"), parameter.get("feasibleSpace") or {}
    problems = []
    if kind not in _KINDS:
        problems.append(f"parameterType: {kind} is not supported")
    if space.get("distribution", "uniform") not in _DISTRIBUTIONS:
        problems.append(f"distribution: {space['distribution']} is not supported")
    if not space.keys() - {"distribution"}:
        problems.append("feasibleSpace must be specified")
    if not all(isinstance(v, str) for k, v in space.items() if k != "list"):
        problems.append("feasibleSpace holds strings")
    if kind in {"int", "double"}:
        if space.get("list"):
            problems.append("feasibleSpace.list is not supported")
        if not space.get("min") or not space.get("max"):
            problems.append("feasibleSpace.max or feasibleSpace.min must be specified")
    elif {"min", "max", "step"} & space.keys():
        problems.append("feasibleSpace .max, .min and .step is not supported")
    return problems


def _template(spec: Json) -> list[str]:
    template = spec.get("trialTemplate") or {}
    if not template.get("primaryContainerName"):
        return ["spec.trialTemplate.primaryContainerName: must be specified"]
    job = template.get("trialSpec")
    if not job or not job.get("apiVersion") or not job.get("kind"):
        return ["spec.trialTemplate.trialSpec: APIVersion and Kind must be specified"]
    if {"name", "namespace"} & job.get("metadata", {}).keys():
        return ["spec.trialTemplate: metadata.name and metadata.namespace must be omitted"]
    return _references(spec, json.dumps(job, ensure_ascii=False))


def _references(spec: Json, text: str) -> list[str]:
    known = {p["name"] for p in spec.get("parameters", [])}
    given = spec["trialTemplate"].get("trialParameters") or []
    problems = []
    for key in ("name", "reference"):
        values = [p.get(key) for p in given]
        if not all(values) or len(set(values)) < len(values):
            problems.append(f"trialParameters: each needs a {key} of its own")
    for parameter in given:
        place = f"${{trialParameters.{parameter['name']}}}"
        if {"{", "}"} & set(parameter["name"]):
            problems.append(f"trialParameters: name {parameter['name']} must not contain braces")
        if not TRIAL_META.search(parameter["reference"]) and parameter["reference"] not in known:
            problems.append(f"parameter reference {parameter['reference']} does not exist")
        if place not in text:
            problems.append(f"parameter name: {parameter['name']} not found in spec.trialTemplate")
        text = text.replace(place, "test-value")
    unknown = re.findall(r"\$\{trialParameters\..+?\}", text)
    if unknown:
        problems.append(f"parameters: {unknown} not found in spec.trialParameters")
    return problems
