"""A search by Katib that fails: what is told, and what is left behind."""

import os
import signal
from datetime import timedelta
from typing import Any

import pytest

from kontinual.errors import ClusterError, TrainingError
from kontinual.interrupt import Interrupted
from kontinual.tuning import Suggestion
from kontinual.tuning.katib import experiment_name, job
from tests.cluster.imitation.katib import controller as imitation
from tests.cluster.imitation.katib.sampler import InvalidSettings
from tests.integration.tuning.conftest import (
    NAMESPACE,
    RUN,
    Doomed,
    MakeCluster,
    flights,
    former_trial,
    good,
)
from tests.kube.clients import Killed
from tests.kube.objects import Json, Key

_FIRST, _SEARCH = (experiment_name(RUN, part) for part in ("first", "search"))


def test_a_failed_trial_is_told_and_the_search_goes_on(make_cluster: MakeCluster) -> None:
    search = {"C": {"type": "discrete", "values": [0.5, 1.0, 2.0]}}
    trainer = {"algorithm": "logistic_regression", "search": search}

    def trial(suggestion: Suggestion) -> str | None:
        return None if suggestion.parameters["C"] == 1.0 else good(suggestion)

    cluster = make_cluster(flights(trainer, algorithm="grid", trials=3), trial)
    result = cluster.tune()
    (failed,) = [t for t in result.trials if not t.complete]
    assert failed.parameters == {"C": 1.0}
    assert failed.metrics == {}
    assert failed.error == "its Job failed (Error, exit code 1)"
    assert result.best.parameters == {"C": 0.5}


def test_what_a_failed_trial_said_of_itself_is_its_error(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(trials=1), lambda _: None)
    mine = former_trial(0, 0.0, C=1.0).model_copy(
        update={"state": "failed", "error": "ValueError: no such luck", "metrics": {}}
    )
    cluster.tracker.named_trials = lambda _: {  # type: ignore[method-assign]
        t["metadata"]["name"]: mine for t in cluster.find("trials")
    }
    with pytest.raises(TrainingError, match=r"all 1 trials failed; .*ValueError: no such luck"):
        cluster.tune()


def test_too_many_failed_trials_end_the_search_with_katibs_reason(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(flights(trials=6, katib={"max_failed": 1}), lambda _: None)
    expected = (
        rf"{NAMESPACE}/{_FIRST} failed: Experiment has failed because max failed count has "
        r"reached; logistic_regression with \{'C': 1\.0\}: its Job failed"
    )
    with pytest.raises(TrainingError, match=expected):
        cluster.tune()
    assert cluster.find("experiments") == []
    assert len(cluster.tracker.named_trials(RUN)) == 1


def test_what_the_sampler_refuses_is_told(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(imitation.Sampler):
        def __init__(self, experiment: Json) -> None:
            if experiment["spec"]["algorithm"]["algorithmName"] == "random":
                raise InvalidSettings("unknown setting random_state for algorithm random")
            super().__init__(experiment)

    monkeypatch.setattr(imitation, "Sampler", Refusing)
    expected = "Suggestion has failed; its sampler says: .*unknown setting random_state"
    with pytest.raises(TrainingError, match=expected):
        make_cluster().tune()


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("all is well\n", "Katib found no metric in its output"),
        # Katib's pattern takes the name with nothing behind it, and calls the trial a success.
        ("log_loss=nan\n", "Katib has no log_loss of it"),
    ],
)
def test_a_trial_without_metrics_is_a_failed_one(
    make_cluster: MakeCluster, output: str, error: str
) -> None:
    cluster = make_cluster(flights(trials=2, parallel=1), lambda _: output)
    with pytest.raises(TrainingError, match=f"all 2 trials failed; .*{error}"):
        cluster.tune()


def test_an_experiment_that_someone_deletes_is_no_result(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(), lambda _: "busy…")
    cluster.sleep = lambda _: cluster.jobs.started and cluster.delete("experiments", _FIRST)
    with pytest.raises(TrainingError, match=f"{_FIRST} was deleted while it ran"):
        cluster.tune()


def test_when_the_time_is_over_what_was_found_counts(make_cluster: MakeCluster) -> None:
    def trial(suggestion: Suggestion) -> str | None:
        return good(suggestion) if suggestion.parameters["C"] == 1.0 else "busy…"

    cluster = make_cluster(flights(trials=6, timeout="1h"), trial)

    def progress(*_: Any) -> None:
        cluster.ahead = timedelta(hours=1)

    result = cluster.tune(progress=progress)
    assert [t.parameters for t in result.trials] == [{"C": 1.0}]
    assert cluster.find("experiments") == []


def test_no_result_in_twice_the_time_is_told_with_what_the_pods_wait_for(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(flights(timeout="1h"), lambda _: "busy…")

    def pull_fails(_: float) -> None:
        for pod in cluster.server.store.find(Key("", "pods", NAMESPACE))[0]:
            waiting = {"reason": "ErrImagePull", "message": "train:1 is not there"}
            states = [
                {
                    "name": "trial",
                    "image": "train:1",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"waiting": waiting},
                }
            ]
            name = pod["metadata"]["name"]
            cluster.server.store.patch(
                Key("", "pods", NAMESPACE, name),
                {"status": {"containerStatuses": states}},
                part="status",
            )
            cluster.ahead = timedelta(hours=3)

    cluster.sleep = pull_fails
    with pytest.raises(TrainingError, match=r"no result .*: ErrImagePull: train:1 is not there"):
        cluster.tune()
    assert cluster.find("experiments") == []


def test_metrics_that_katib_never_gets_are_told_of(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(timeout="1h"))
    cluster.katib.trials.collects = False

    def trial_logs_itself(_: float) -> None:
        for trial in cluster.find("trials"):
            cluster.tracker.log_trial(
                RUN, former_trial(0, 0.5, C=1), name=trial["metadata"]["name"]
            )
            cluster.ahead = timedelta(hours=3)

    cluster.sleep = trial_logs_itself
    expected = f"{_FIRST}-.* ended, but Katib has no metrics of them"
    with pytest.raises(TrainingError, match=expected):
        cluster.tune()


def test_the_imitation_refuses_a_collector_that_would_be_root_where_none_may(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_USER", None)
    cluster = make_cluster(flights(trials=1))
    with pytest.raises(TrainingError, match="has runAsNonRoot and image will run as root"):
        cluster.tune()
    assert cluster.find("jobs") == []


def test_pods_that_may_not_be_seen_are_asked_for_once(
    make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster()
    cluster.server.fail("GET", "/pods$", status=403)
    assert len(cluster.tune().trials) == 4
    assert caplog.text.count("why trials wait, or fail, can not be told") == 1


def test_a_cluster_without_katib_is_told_as_such(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.server.fail("POST", "/experiments$", status=404)
    with pytest.raises(ClusterError, match="is Katib installed"):
        cluster.tune()


def test_a_namespace_that_katib_refuses_is_told_in_its_words(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.server.fail("POST", "/experiments$", status=400)
    with pytest.raises(ClusterError, match=f"experiment {NAMESPACE}/{_FIRST} can not be created"):
        cluster.tune()


def test_sigterm_deletes_the_experiment_and_its_jobs(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(flights(katib={"keep": True}), lambda _: "busy…")
    cancelled_at = 0

    def cancel(_: float) -> None:
        nonlocal cancelled_at
        if cluster.jobs.started:
            cancelled_at = len(cluster.server.requests)
            os.kill(os.getpid(), signal.SIGTERM)

    cluster.sleep = cancel
    with pytest.raises(Interrupted):
        cluster.tune()
    assert cluster.find("experiments") == []
    cluster.wait_until_empty()
    # Kubeflow's launcher dies of the same signal, and the pod with it: no time to look around.
    after = [r for r in cluster.server.requests[cancelled_at:] if f"/experiments/run-{RUN}" in r]
    assert [r.partition(" ")[0] for r in after[:2]] == ["DELETE", "DELETE"]


def test_what_a_former_run_was_killed_over_is_removed_by_the_next(
    make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster(flights(trials=1, katib={"keep": True}))
    cluster.tune(run="flights-5")
    with (
        Doomed(cluster.server, "POST", "/experiments$", after=True) as doomed,
        pytest.raises(Killed),
    ):
        cluster.tune(client=doomed, run="flights-6")
    cluster.tune()
    kept = [e["metadata"]["labels"]["kontinual.dev/run"] for e in cluster.find("experiments")]
    assert sorted(kept) == ["flights-5", RUN]
    assert "left by run flights-6, deleted" in caplog.text


def test_a_deletion_that_fails_hides_no_result(
    make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster(flights(trials=1))
    cluster.server.fail("DELETE", "/experiments/", status=403)
    assert len(cluster.tune().trials) == 1
    assert f"experiment {NAMESPACE}/{_FIRST} can not be deleted" in caplog.text
    assert "delete it by hand" in caplog.text
