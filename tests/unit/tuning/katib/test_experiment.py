"""The Experiment of a loop, against Katib's models and against what its webhook refuses."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubeflow_katib_api.models import V1beta1Experiment
from kubernetes_validate import validate

from kontinual.errors import SpecError, TrainingError
from kontinual.settings import Settings
from kontinual.spec import Loop, Tuning
from kontinual.tuning import Space, Suggestion
from kontinual.tuning.assignments import read
from kontinual.tuning.katib import Task, experiment, experiment_name, plan_first, plan_search
from tests.cluster.imitation.katib import admit, invalid
from tests.cluster.imitation.katib.sampler import Sampler
from tests.unit.tuning.spaces import spaces, suggestions

MakeLoop = Callable[..., Loop]
Json = dict[str, Any]
_TASK = Task(
    loop_url="s3://loops/flights/loop.yaml",
    run_id="flights-20260301-0612",
    span=7,
    seed=3,
    image="registry.example/kontinual/train:0.1.0",
    environment={"KONTINUAL_LAKE": "s3://lake/flights", "KONTINUAL_TRACKING": "http://mlflow"},
)
_ALGORITHMS = ["random", "tpe", "multivariate-tpe", "cmaes", "sobol", "grid"]


def _render(loop: Loop, *, trials: int = 6, task: Task = _TASK) -> Json:
    plan = plan_search(Space.of(loop), loop.training.tuning, trials=trials, seed=3, done=[])
    rendered: Json = experiment(loop, plan, task).to_dict()
    assert invalid(admit(rendered, None)) == []
    read_back = V1beta1Experiment.from_dict(rendered)
    assert read_back is not None
    assert read_back.to_dict() == rendered
    return rendered


@pytest.mark.parametrize("algorithm", _ALGORITHMS)
def test_every_algorithm_renders_and_its_samplers_proposals_are_read(
    make_loop: MakeLoop, algorithm: str
) -> None:
    loop = make_loop(algorithm=algorithm)
    space = Space.of(loop)
    rendered = _render(loop)
    assert rendered["spec"]["algorithm"]["algorithmName"] == algorithm
    sampler = Sampler(admit(rendered, None))
    for assignments in sampler.suggest(6):
        assert space.contains(read(space, {a["name"]: a["value"] for a in assignments}))


@given(st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_space_renders_and_what_katib_makes_of_it_is_read(
    make_loop: MakeLoop, data: st.DataObject
) -> None:
    loop = make_loop()
    space = data.draw(spaces())
    tuning = Tuning(algorithm=data.draw(st.sampled_from(["random", "sobol", "grid"])))
    plan = plan_search(space, tuning, trials=3, seed=3, done=[])
    rendered = experiment(loop, plan, _TASK).to_dict()
    assert invalid(admit(rendered, None)) == []
    for assignments in Sampler(admit(rendered, None)).suggest(plan.trials):
        assert space.contains(read(space, {a["name"]: a["value"] for a in assignments}))


@given(st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_given_points_are_tried_as_they_are(make_loop: MakeLoop, data: st.DataObject) -> None:
    space = data.draw(spaces())
    points = data.draw(st.lists(suggestions(space), min_size=1, max_size=4, unique_by=repr))
    rendered = admit(experiment(make_loop(), plan_first(points), _TASK).to_dict(), None)
    assert invalid(rendered) == []
    tried = [{a["name"]: a["value"] for a in t} for t in Sampler(rendered).suggest(len(points))]
    found = [read(space, texts) for texts in tried]
    assert sorted(map(repr, found)) == sorted(map(repr, points))


def test_the_objective_and_the_budget_are_those_of_the_loop(make_loop: MakeLoop) -> None:
    loop = make_loop(metric="roc_auc", parallel=4, seed=5, katib={"max_failed": 2, "keep": True})
    spec = _render(loop, trials=3)["spec"]
    assert spec["objective"]["type"] == "maximize"
    assert spec["objective"]["objectiveMetricName"] == "roc_auc"
    assert spec["objective"]["additionalMetricNames"] == [
        "log_loss",
        "brier",
        "seconds",
        "cpu_seconds",
        "peak_memory_bytes",
    ]
    assert {s["value"] for s in spec["objective"]["metricStrategies"]} == {"latest"}
    assert (spec["maxTrialCount"], spec["parallelTrialCount"], spec["maxFailedTrialCount"]) == (
        *(3, 3),
        2,
    )
    assert spec["algorithm"]["algorithmSettings"] == [{"name": "random_state", "value": "8"}]
    assert spec["resumePolicy"] == "Never"
    assert spec["trialTemplate"]["retain"] is True


def test_without_a_limit_failed_trials_end_no_search(make_loop: MakeLoop) -> None:
    assert "maxFailedTrialCount" not in _render(make_loop())["spec"]


def test_a_log_scale_reaches_samplers_that_know_none_as_an_exponent(make_loop: MakeLoop) -> None:
    def spaces_of(algorithm: str) -> dict[str, Json]:
        rendered = _render(make_loop(algorithm=algorithm))
        return {p["name"]: p for p in rendered["spec"]["parameters"]}

    native = spaces_of("tpe")["logistic_regression.C"]["feasibleSpace"]
    assert native == {"min": "0.001", "max": "10.0", "distribution": "logUniform"}
    exponent = spaces_of("sobol")["logistic_regression.C.log10"]
    assert exponent["feasibleSpace"] == {"min": "-3.0", "max": "1.0", "distribution": "uniform"}


def test_a_grid_crosses_no_two_algorithms(make_loop: MakeLoop) -> None:
    loop = make_loop(algorithm="grid", trials=400)
    first = Suggestion(
        algorithm="logistic_regression", parameters={"C": pytest.approx(0.001, rel=1e-9)}
    )
    plan = plan_search(Space.of(loop), loop.training.tuning, trials=400, seed=3, done=[first])
    (point,) = plan.parameters
    assert plan.trials == 4**4 + 4 - 1
    assert len(set(point.feasible_space.list)) == plan.trials
    assert all("." in p and "," in p for p in point.feasible_space.list)


def test_a_grid_with_more_points_than_trials_is_a_small_experiment(make_loop: MakeLoop) -> None:
    search = {f"p{i}": {"type": "double", "min": 0.1, "max": 0.9} for i in range(12)}
    space = Space.model_validate({"trainers": {"logistic_regression": search}})  # 4^12 points
    plan = plan_search(
        space, make_loop(algorithm="grid").training.tuning, trials=16, seed=3, done=[]
    )
    (point,) = plan.parameters
    assert plan.trials == len(set(point.feasible_space.list)) == 16


def test_cmaes_needs_two_numbers(make_loop: MakeLoop) -> None:
    search = {"C": {"type": "double", "min": 0.1, "max": 1}}
    loop = make_loop({"algorithm": "logistic_regression", "search": search}, algorithm="cmaes")
    with pytest.raises(TrainingError, match=r"cmaes needs two or more .* choose tpe"):
        plan_search(Space.of(loop), loop.training.tuning, trials=3, seed=3, done=[])


def test_early_stopping_is_the_median_rule_and_trials_go_in_steps(make_loop: MakeLoop) -> None:
    rule = {"min_trials": 4, "start_step": 2}
    spec = _render(make_loop(katib={"early_stopping": rule}))["spec"]
    assert spec["earlyStopping"] == {
        "algorithmName": "medianstop",
        "algorithmSettings": [
            {"name": "min_trials_required", "value": "4"},
            {"name": "start_step", "value": "2"},
        ],
    }
    assert "--in-steps" in _container(spec)["args"]
    plain = _render(make_loop())["spec"]
    assert "earlyStopping" not in plain
    assert "--in-steps" not in _container(plain)["args"]


def _container(spec: Json) -> Json:
    (container,) = spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_the_job_is_a_restricted_pod_that_no_mesh_keeps_alive(make_loop: MakeLoop) -> None:
    job = _render(make_loop())["spec"]["trialTemplate"]["trialSpec"]
    validate(job | {"metadata": {"name": "trial"}}, "1.30", strict=True)
    assert (job["apiVersion"], job["kind"], job["spec"]["backoffLimit"]) == ("batch/v1", "Job", 0)
    assert job["spec"]["activeDeadlineSeconds"] == 30 * 60
    template = job["spec"]["template"]
    assert template["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert template["metadata"]["labels"]["kontinual.dev/run"] == _TASK.run_id
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "KONTINUAL_LAKE", "value": "s3://lake/flights"} in container["env"]


def test_the_pod_is_where_and_as_big_as_declared(make_loop: MakeLoop) -> None:
    wanted = {
        "requests": {"cpu": 2, "memory": "3Gi"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": 1},
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "service_account": "trainer",
        "secrets": ["registry-of-models"],
    }
    job = _render(make_loop(katib={"job": wanted}))["spec"]["trialTemplate"]["trialSpec"]
    validate(job | {"metadata": {"name": "trial"}}, "1.30", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "3Gi"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"},
    }
    assert pod["containers"][0]["envFrom"] == [
        {"secretRef": {"name": "kontinual-object-store", "optional": True}},
        {"secretRef": {"name": "registry-of-models"}},
    ]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("trainer", True)


def test_no_part_of_the_command_means_anything_to_a_shell(make_loop: MakeLoop) -> None:
    """Katib's webhook joins it for `sh -c`."""
    task = Task(**vars(_TASK) | {"loop_url": "https://x.example/l.yaml?a=1&b=$(id) ;'\""})
    container = _container(_render(make_loop(), task=task)["spec"])
    for part in [*container["command"], *container["args"]]:
        plain = re.sub(r"\$\{trialParameters\.[\w.:]+\}", "", part)
        assert re.fullmatch(r"[\w/:.@+%=,-]*", plain), part
    json.dumps(container)


@pytest.mark.parametrize("run_id", ["flights-1", "1", "x" * 63, "a.b_c-" + "9" * 60, "-odd-"])
def test_names_are_those_that_katib_takes(run_id: str) -> None:
    names = [experiment_name(run_id, part) for part in ("first", "search")]
    assert len(set(names)) == 2
    for name in names:
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert len(name) <= 40


def test_runs_that_begin_alike_have_names_of_their_own() -> None:
    names = {experiment_name("flights-" + "0" * 40 + str(n), "search") for n in range(50)}
    assert len(names) == 50


def _task(loop: Loop, url: str = "s3://loops/l.yaml", **fields: Any) -> Task:
    fields = {"train_image": "train:1", "lake": "s3://lake", "tracking": "http://mlflow"} | fields
    return Task.of(loop, Settings(**fields), url=url, run_id="r", span=1, seed=0)


def test_a_password_in_a_url_is_refused_for_all_could_read_it(make_loop: MakeLoop) -> None:
    with pytest.raises(SpecError, match=r"KONTINUAL_TRACKING: .*katib\.job\.secrets"):
        _task(make_loop(), tracking="http://me:secret@mlflow")
    with pytest.raises(SpecError, match=r"^loop: a URL with a password"):
        _task(make_loop(), url="ftp://me:secret@host/l.yaml")


def test_trials_find_the_store_where_the_step_finds_it(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no one's business")
    assert _task(make_loop()).environment == {
        "KONTINUAL_LAKE": "s3://lake",
        "KONTINUAL_TRACKING": "http://mlflow",
        "AWS_ENDPOINT_URL": "http://minio:9000",
    }


def test_trials_need_one_image(make_loop: MakeLoop) -> None:
    with pytest.raises(SpecError, match="KONTINUAL_TRAIN_IMAGE"):
        _task(make_loop(), train_image="")
    linear = {"algorithm": "logistic_regression", "image": "mine:1"}
    assert _task(make_loop(linear)).image == "mine:1"
    other = {"algorithm": "random_forest", "image": "mine:2"}
    with pytest.raises(SpecError, match=r"share one image, but got \['mine:1', 'mine:2'\]"):
        _task(make_loop(linear, other))
