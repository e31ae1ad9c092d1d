"""Trials: kept as MLflow shows them, read back as they were."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from kontinual.tracking import Tracker, TrialRecord

MakeTrial = Callable[..., TrialRecord]


def test_trials_come_back_as_they_were_newest_first(
    tracker: Tracker, make_trial: MakeTrial
) -> None:
    kept = [
        make_trial(0),
        make_trial(1, parameters={"C": 0.001, "max_iter": 3, "class_weight": "balanced"}),
        make_trial(2, metrics={}, state="failed", error="it broke"),
    ]
    for trial in kept:
        tracker.log_trial("flights-1", trial)
    tracker.log_trial("flights-2", make_trial(0, seed=9))
    assert tracker.trials() == [make_trial(0, seed=9), *reversed(kept)]
    assert tracker.trials(limit=2) == [make_trial(0, seed=9), kept[2]]


def test_trials_that_ran_side_by_side_come_back_by_their_numbers(
    tracker: Tracker, make_trial: MakeTrial
) -> None:
    tracker.log_trial("flights-1", make_trial(0))
    for number in (1, 0, 2):
        tracker.log_trial("flights-2", make_trial(number))
    assert [t.number for t in tracker.trials()] == [2, 1, 0, 0]


def test_a_named_trial_logged_again_takes_the_place_of_what_it_was(
    uri: str, tracker: Tracker, make_trial: MakeTrial
) -> None:
    tracker.open_run("flights-1")
    Tracker(uri, "flights").log_trial("flights-1", make_trial(0), name="search-x7")
    lost = make_trial(4, state="failed", error="no metrics")
    tracker.log_trial("flights-1", lost, name="search-x7")
    tracker.log_trial("flights-1", make_trial(5))
    tracker.log_trial("flights-2", make_trial(6), name="search-x7")
    assert tracker.named_trials("flights-1") == {"search-x7": lost}
    assert [t.number for t in tracker.trials()] == [6, 5, 4]
    (run,) = [
        r
        for r in _runs(uri)
        if r.info.run_name == "search-x7" and r.data.tags["kontinual.run"] == "flights-1"
    ]
    assert (run.info.status, run.data.tags["state"]) == ("FAILED", "failed")


def test_two_loops_in_one_registry_do_not_see_each_others_trials(
    uri: str, tracker: Tracker, make_trial: MakeTrial
) -> None:
    other = Tracker(uri, "taxis")
    other.log_trial("taxis-1", make_trial(0))
    assert tracker.trials() == []
    assert len(other.trials()) == 1


def test_mlflow_shows_a_run_with_its_trials_nested(
    uri: str, tracker: Tracker, make_trial: MakeTrial
) -> None:
    tracker.log_trial("flights-1", make_trial(0))
    tracker.log_trial("flights-1", make_trial(1, state="failed", error="no", metrics={}))
    tracker.finish("flights-1", outcome="rejected_model")
    runs = _runs(uri)
    (parent,) = [r for r in runs if r.data.tags["kontinual.kind"] == "run"]
    assert parent.info.run_name == "flights-1"
    assert (parent.info.status, parent.data.tags["outcome"]) == ("FINISHED", "rejected_model")
    trials = sorted((r for r in runs if r is not parent), key=lambda r: str(r.info.run_name))
    assert {t.data.tags["mlflow.parentRunId"] for t in trials} == {parent.info.run_id}
    assert [t.info.status for t in trials] == ["FINISHED", "FAILED"]
    assert trials[0].data.params == {
        "algorithm": "hist_gradient_boosting",
        "learning_rate": "0.1",
        "max_iter": "90",
        "loss": "x",
        "seed": "1",
    }
    assert trials[0].data.metrics == {
        "roc_auc": 0.7,
        "log_loss": 0.5,
        "brier": 0.2,
        "seconds": 1.5,
        "cpu_seconds": 1.25,
        "peak_memory_bytes": 150_000_000,
    }
    assert trials[0].info.end_time - trials[0].info.start_time == 1500


def test_a_run_taken_up_by_another_process_keeps_one_parent(
    uri: str, tracker: Tracker, make_trial: MakeTrial
) -> None:
    tracker.log_trial("flights-1", make_trial(0))
    Tracker(uri, "flights").log_trial("flights-1", make_trial(1))
    parents = [r for r in _runs(uri) if r.data.tags["kontinual.kind"] == "run"]
    assert len(parents) == 1


def test_a_very_long_error_is_kept_in_part(tracker: Tracker, make_trial: MakeTrial) -> None:
    tracker.log_trial("flights-1", make_trial(0, state="failed", error="x" * 100_000, metrics={}))
    (trial,) = tracker.trials()
    assert trial.error == "x" * 1000


def test_a_metric_that_is_no_number_is_kept_as_such(
    tracker: Tracker, make_trial: MakeTrial
) -> None:
    tracker.log_trial("flights-1", make_trial(0, metrics={"log_loss": float("inf")}))
    assert tracker.trials()[0].metrics == {"log_loss": float("inf")}


def test_a_trial_of_another_version_is_left_out_with_a_warning(
    uri: str, tracker: Tracker, make_trial: MakeTrial, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_trial("flights-1", make_trial(0))
    tracker.log_trial("flights-1", make_trial(1))
    newest = next(r for r in _runs(uri) if r.info.run_name == "trial-1")
    MlflowClient(uri).set_tag(newest.info.run_id, "kontinual.trial", '{"number": 1}')
    assert [t.number for t in tracker.trials()] == [0]
    assert "of another version" in caplog.text


def test_importing_the_station_does_not_import_mlflow() -> None:
    code = "import sys, kontinual.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _runs(uri: str) -> list[Any]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("flights")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))
