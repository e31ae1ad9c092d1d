"""A search by Katib: its result, its parts, and how it is taken up."""

import logging
from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi
from kubernetes_validate import validate

from kontinual.errors import TrainingError
from kontinual.tuning import Suggestion
from kontinual.tuning.katib import experiment_name
from tests.cluster.imitation.katib import crds
from tests.integration.tuning.conftest import (
    NAMESPACE,
    RUN,
    Doomed,
    MakeCluster,
    flights,
    former_trial,
    good,
    lines,
)
from tests.kube.clients import Killed
from tests.kube.objects import Key

_FIRST, _SEARCH = (experiment_name(RUN, part) for part in ("first", "search"))


def test_a_search_gives_the_best_of_its_trials_and_leaves_nothing(
    make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cluster = make_cluster(flights(trials=5, parallel=2))
    told: list[tuple[int, int]] = []
    result = cluster.tune(progress=lambda done, total, _: told.append((done, total)))
    assert told == [(n, 5) for n in range(1, 6)]
    assert [t.number for t in result.trials] == [0, 1, 2, 3, 4]
    assert result.best.metrics["log_loss"] == min(t.metrics["log_loss"] for t in result.trials)
    # The trainer's default, C = 1, is tried first and can not be beaten here.
    assert result.best == result.trials[0]
    assert result.best.parameters == {"C": 1.0}
    assert result.best.metrics == {
        "log_loss": 0.5,
        "roc_auc": 0.5,
        "brier": pytest.approx(1 / 6),
    }
    costs = result.best.model_dump(include={"seconds", "cpu_seconds", "peak_memory_bytes"})
    assert costs == {"seconds": 2.5, "cpu_seconds": 2.25, "peak_memory_bytes": 150_000_000}
    assert sorted(t.number for t in cluster.tracker.named_trials(RUN).values()) == [0, 1, 2, 3, 4]
    assert cluster.tracker.opened == [RUN]
    cluster.wait_until_empty()
    assert f"experiment {NAMESPACE}/{_FIRST}: 1 trials by grid" in caplog.text
    assert f"experiment {NAMESPACE}/{_SEARCH}: 4 trials by random" in caplog.text
    assert "5 of 5 trials done, 0 running, 0 pending; best log_loss 0.50000" in caplog.text


def test_what_former_searches_found_best_is_tried_first(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(trials=4))
    cluster.tracker.former = [former_trial(1, 0.4, C=1.1), former_trial(0, 0.3, C=0.9)]
    result = cluster.tune()
    assert {t.parameters["C"] for t in result.trials[:2]} == {0.9, 1.0}
    assert len(result.trials) == 4


def test_a_grid_tries_every_point_once(make_cluster: MakeCluster) -> None:
    search = {"C": {"type": "discrete", "values": [0.5, 1.0, 2.0]}}
    trainer = {"algorithm": "logistic_regression", "search": search}
    result = make_cluster(flights(trainer, algorithm="grid", trials=9)).tune()
    assert sorted(t.parameters["C"] for t in result.trials) == [0.5, 1.0, 2.0]


def test_a_budget_that_the_first_trials_use_up_needs_no_search(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(trials=1))
    assert len(cluster.tune().trials) == 1
    assert not [r for r in cluster.server.requests if r.startswith("POST") and _SEARCH in r]
    assert len(cluster.jobs.started) == 1


def test_experiments_that_are_to_be_kept_stay_when_they_ended(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(katib={"keep": True}))
    cluster.tune()
    assert [e["metadata"]["name"] for e in cluster.find("experiments")] == [_FIRST, _SEARCH]
    assert len(cluster.find("jobs")) == 4


@pytest.mark.parametrize(
    ("method", "path", "after", "jobs"),
    [
        ("POST", "/experiments$", False, 2),
        ("POST", "/experiments$", True, 2),
        ("GET", f"/experiments/{_FIRST}$", True, 2),
        ("GET", "/trials$", False, 2),
        ("GET", "/trials$", True, 2),
        ("GET", f"/experiments/{_SEARCH}$", False, 2),
        ("DELETE", f"/experiments/{_FIRST}$", False, 2),
        # What is gone by then is done again, and nothing else.
        ("DELETE", f"/experiments/{_FIRST}$", True, 3),
        ("DELETE", f"/experiments/{_SEARCH}$", True, 4),
    ],
)
def test_a_step_that_is_killed_takes_up_its_search(
    make_cluster: MakeCluster, method: str, path: str, after: bool, jobs: int
) -> None:
    cluster = make_cluster(flights(trials=2, parallel=1))
    with Doomed(cluster.server, method, path, after=after) as doomed, pytest.raises(Killed):
        cluster.tune(client=doomed)
    result = cluster.tune()
    assert len(result.trials) == 2
    assert result.best.parameters == {"C": 1.0}
    assert cluster.find("experiments") == []
    assert len(cluster.jobs.started) == jobs


def test_trouble_of_the_moment_is_waited_for(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    for method in ("GET", "POST", "DELETE"):
        cluster.server.fail(method, f"/experiments(/{_FIRST})?$", status=503, times=2)
        cluster.server.fail(method, f"/experiments(/{_SEARCH})?$", status=0, times=1)
    cluster.server.fail("GET", "/trials$", status=429, times=3)
    assert len(cluster.tune().trials) == 4
    assert cluster.find("experiments") == []


def test_an_experiment_whose_answer_was_lost_is_not_made_twice(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(trials=1))
    cluster.server.fail("POST", "/experiments$", status=0, after=True)
    assert len(cluster.tune().trials) == 1
    assert len(cluster.jobs.started) == 1


def test_an_experiment_of_another_run_is_left_alone(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(katib={"keep": True}))
    cluster.tune()
    found = Key("kubeflow.org", "experiments", NAMESPACE, _FIRST)
    cluster.server.store.patch(found, {"metadata": {"labels": {"kontinual.dev/run": "else"}}})
    with pytest.raises(TrainingError, match=f"{_FIRST} is not of run {RUN}, but of else"):
        cluster.tune()
    assert len(cluster.find("experiments")) == 2


def test_an_experiment_that_is_being_deleted_is_waited_for(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(trials=1, katib={"keep": True}))
    cluster.tune()
    key = Key("kubeflow.org", "experiments", NAMESPACE, _FIRST)
    cluster.server.store.patch(key, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            cluster.delete("experiments", _FIRST)

    cluster.sleep = sleep
    assert len(cluster.tune().trials) == 1
    assert len(cluster.jobs.started) == 2


def test_a_trial_that_lags_behind_is_stopped_early(make_cluster: MakeCluster) -> None:
    finished = 0

    def trial(suggestion: Suggestion) -> str:
        nonlocal finished
        if finished < 3 or suggestion.parameters["C"] <= 1:
            finished += 1
            return lines(log_loss=0.6) + lines(log_loss=0.55) + good(suggestion)
        return lines(log_loss=0.9) + "busy…"

    rule = {"min_trials": 2, "start_step": 1}
    choices = _choices(0.1, 0.2, 0.3, 5.0, 6.0, 7.0)
    cluster = make_cluster(
        flights(*choices, trials=10, parallel=1, katib={"early_stopping": rule}), trial
    )
    result = cluster.tune()
    stopped = [t for t in result.trials if not t.complete]
    assert stopped
    assert len(result.trials) == 10
    assert {str(t.error).partition(":")[0] for t in stopped} == {"stopped early"}
    assert all(t.parameters["C"] > 1 for t in stopped)


def _choices(*values: float) -> list[dict[str, Any]]:
    search = {"C": {"type": "discrete", "values": list(values)}}
    return [{"algorithm": "logistic_regression", "search": search}]


def test_the_imitations_own_objects_are_katibs(make_cluster: MakeCluster) -> None:
    """What our code reads was written as Katib writes it: its models take it."""
    from kubeflow_katib_api.models import V1beta1Experiment, V1beta1Suggestion, V1beta1Trial

    cluster = make_cluster(flights(katib={"keep": True}))
    cluster.tune()
    with cluster.server.client() as client:
        custom = CustomObjectsApi(client)
        models = {
            "experiments": V1beta1Experiment,
            "trials": V1beta1Trial,
            "suggestions": V1beta1Suggestion,
        }
        for plural, model in models.items():
            items = custom.list_namespaced_custom_object(
                "kubeflow.org", "v1beta1", NAMESPACE, plural
            )["items"]
            assert items
            for item in items:
                assert model.from_dict(item).status is not None
    best = cluster.find("experiments")[1]["status"]["currentOptimalTrial"]
    assert all(isinstance(v, str) for m in best["observation"]["metrics"] for v in m.values())


def test_the_imitations_kinds_can_be_made_known_to_a_cluster() -> None:
    for definition in crds():
        validate(definition, "1.30", strict=True)
