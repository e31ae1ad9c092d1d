"""A search as Experiments of Katib: kubeflow.org/v1beta1, built from the loop."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from kubeflow_katib_api.models import (
    IoK8sApimachineryPkgApisMetaV1ObjectMeta,
    V1beta1AlgorithmSetting,
    V1beta1AlgorithmSpec,
    V1beta1CollectorSpec,
    V1beta1EarlyStoppingSetting,
    V1beta1EarlyStoppingSpec,
    V1beta1Experiment,
    V1beta1ExperimentSpec,
    V1beta1MetricsCollectorSpec,
    V1beta1MetricStrategy,
    V1beta1ObjectiveSpec,
    V1beta1ParameterSpec,
    V1beta1TrialParameterSpec,
    V1beta1TrialTemplate,
)

from kontinual.errors import TrainingError
from kontinual.spec import LOOP_LABEL, Loop, Tuning
from kontinual.tuning.katib.job import CONTAINER, TRIAL_NAME, Task, trial_job
from kontinual.tuning.katib.parameters import parameters_of, point_parameter
from kontinual.tuning.result import maximized
from kontinual.tuning.searchers import grid
from kontinual.tuning.space import Space, Suggestion

__all__ = [
    "COSTS",
    "RUN_LABEL",
    "Plan",
    "experiment",
    "experiment_name",
    "plan_first",
    "plan_search",
]

RUN_LABEL = "kontinual.dev/run"
COSTS = ("seconds", "cpu_seconds", "peak_memory_bytes")
"""What a trial reports of itself beside its metrics."""

_METRICS = ("roc_auc", "log_loss", "brier")
_MAX_NAME = 40  # Katib's own limit: names of Services and pods are made from it
# The samplers of these come from hyperopt and Optuna; the others' (goptuna) ignore logUniform.
_KNOW_LOGARITHMS = {"random", "tpe", "multivariate-tpe"}
# Sobol's sequence has no seed, and its service refuses nothing but knows no setting.
_SEEDED = {"random", "tpe", "multivariate-tpe", "cmaes", "grid"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One Experiment of a search.

    Attributes:
        part: of the search, for its name.
        parameters: what Katib varies.
        algorithm: Katib's name of the sampler.
        trials: how many.
        stops_early: does the median rule hold?
    """

    part: str
    parameters: list[V1beta1ParameterSpec]
    algorithm: str
    trials: int
    stops_early: bool = False


def plan_first(points: Sequence[Suggestion]) -> Plan:
    """Each of the given points once.

    Katib's samplers can not be told where to begin (its issue 1067), so what former
    searches found best is an Experiment of its own: a grid of whole points.
    """
    return Plan(
        part="first", parameters=[point_parameter(points)], algorithm="grid", trials=len(points)
    )


def plan_search(
    space: Space, tuning: Tuning, *, trials: int, seed: int, done: Sequence[Suggestion]
) -> Plan:
    """The search proper.

    Args:
        space: what may be tried.
        tuning: how.
        trials: what is left of the budget; a grid may need fewer.
        seed: of the choice among the points of a grid, when it has more.
        done: points that a grid need not try again.

    Raises:
        TrainingError: Katib can not search this space in this way.
    """
    if tuning.algorithm == "grid":
        # A grid over all parameters at once would cross those of different algorithms.
        points = grid(space, trials=trials, seed=tuning.seed + seed, done=done)
        return Plan(
            part="search",
            parameters=[point_parameter(points)] if points else [],
            algorithm="grid",
            trials=len(points),
        )
    parameters = parameters_of(space, logarithms=tuning.algorithm in _KNOW_LOGARITHMS)
    _check_dimensions(tuning, parameters)
    return Plan(
        part="search",
        parameters=parameters,
        algorithm=tuning.algorithm,
        trials=trials,
        stops_early=tuning.katib.early_stopping is not None,
    )


def experiment_name(run_id: str, part: str) -> str:
    """The name that a part of a run's search always has: at most 40 letters, digits and hyphens."""
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    tail = f"-{digest}-{part}"
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in run_id.lower())
    return f"run-{plain}"[: _MAX_NAME - len(tail)].rstrip("-") + tail


def run_label(run_id: str) -> str:
    """The value of RUN_LABEL for a run: its name, as far as a label holds it."""
    return run_id[:63].rstrip("-_.")


def experiment(loop: Loop, plan: Plan, task: Task) -> V1beta1Experiment:
    """The Experiment of a plan, complete with the Job of its trials."""
    tuning = loop.training.tuning
    labels = {LOOP_LABEL: loop.name, RUN_LABEL: run_label(task.run_id)}
    return V1beta1Experiment(
        apiVersion="kubeflow.org/v1beta1",
        kind="Experiment",
        metadata=IoK8sApimachineryPkgApisMetaV1ObjectMeta(
            name=experiment_name(task.run_id, plan.part), labels=labels
        ),
        spec=V1beta1ExperimentSpec(
            objective=_objective(loop),
            algorithm=_algorithm(plan.algorithm, tuning.seed + task.seed),
            earlyStopping=_early_stopping(tuning) if plan.stops_early else None,
            parameters=plan.parameters,
            maxTrialCount=plan.trials,
            parallelTrialCount=min(tuning.parallel, plan.trials),
            maxFailedTrialCount=_max_failed(tuning, plan.trials),
            metricsCollectorSpec=V1beta1MetricsCollectorSpec(
                collector=V1beta1CollectorSpec(kind="StdOut")
            ),
            resumePolicy="Never",
            trialTemplate=_template(loop, plan, task, labels),
        ),
    )


def _objective(loop: Loop) -> V1beta1ObjectiveSpec:
    metric = loop.training.metric
    others = [name for name in (*_METRICS, *COSTS) if name != metric]
    return V1beta1ObjectiveSpec(
        type="maximize" if maximized(metric) else "minimize",
        objectiveMetricName=metric,
        additionalMetricNames=others,
        # With early stopping a metric is told for each step; the last is of all rows.
        metricStrategies=[
            V1beta1MetricStrategy(name=name, value="latest") for name in (metric, *others)
        ],
    )


def _algorithm(name: str, seed: int) -> V1beta1AlgorithmSpec:
    settings = [V1beta1AlgorithmSetting(name="random_state", value=str(seed))]
    return V1beta1AlgorithmSpec(
        algorithmName=name, algorithmSettings=settings if name in _SEEDED else None
    )


def _max_failed(tuning: Tuning, trials: int) -> int | None:
    most = tuning.katib.max_failed
    return None if most is None else min(most, trials)


def _early_stopping(tuning: Tuning) -> V1beta1EarlyStoppingSpec:
    rule = tuning.katib.early_stopping
    assert rule is not None  # noqa: S101  the plan stops early because there is a rule
    settings = {"min_trials_required": rule.min_trials, "start_step": rule.start_step}
    return V1beta1EarlyStoppingSpec(
        algorithmName="medianstop",
        algorithmSettings=[
            V1beta1EarlyStoppingSetting(name=name, value=str(value))
            for name, value in settings.items()
        ],
    )


def _template(loop: Loop, plan: Plan, task: Task, labels: dict[str, str]) -> V1beta1TrialTemplate:
    tuning = loop.training.tuning
    names = [str(parameter.name) for parameter in plan.parameters]
    job = trial_job(
        task,
        tuning.katib.job,
        names,
        in_steps=plan.stops_early,
        # One that hangs, or whose image is not to be had, would keep its place for ever.
        deadline_seconds=round(tuning.timeout.total_seconds()),
        labels=labels,
    )
    own_name = V1beta1TrialParameterSpec(name=TRIAL_NAME, reference="${trialSpec.Name}")
    return V1beta1TrialTemplate(
        primaryContainerName=CONTAINER,
        successCondition='status.conditions.#(type=="Complete")#|#(status=="True")#',
        failureCondition='status.conditions.#(type=="Failed")#|#(status=="True")#',
        # The pod of a failed trial says why; all go with the Experiment, if that is not kept.
        retain=True,
        trialParameters=[
            own_name,
            *(V1beta1TrialParameterSpec(name=name, reference=name) for name in names),
        ],
        trialSpec=job,
    )


def _check_dimensions(tuning: Tuning, parameters: Sequence[V1beta1ParameterSpec]) -> None:
    numbers = [p.name for p in parameters if p.parameter_type in {"int", "double"}]
    if tuning.algorithm == "cmaes" and len(numbers) < 2:
        raise TrainingError(
            "training.tuning.algorithm: Katib's cmaes needs two or more parameters of type int or "
            f"double, but the space has {numbers or 'none'}; choose tpe"
        )
