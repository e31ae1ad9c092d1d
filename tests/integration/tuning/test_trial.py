"""Trials as real processes: from Katib's Job to MLflow's history."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from kontinual.lake import Lake, Verdict
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop
from kontinual.tracking import Tracker
from kontinual.training import prepare
from kontinual.tuning import Suggestion, search, trials_html
from kontinual.tuning.split import Split
from kontinual.tuning.trial import main
from kontinual.tuning.worker import score
from tests.cluster.imitation.katib.collector import observe, reported
from tests.integration.tuning.conftest import NAMESPACE, MakeCluster

_FRAGILE = """
from kontinual.training.trainers.logistic_regression import LogisticRegressionTrainer


class FragileTrainer(LogisticRegressionTrainer):
    known = None

    def fit(self, matrix, labels, *, features, parameters, seed):
        if parameters["fate"] == "it's raising":
            raise RuntimeError("no such luck")
        return super().fit(
            matrix, labels, features=features, parameters={"C": parameters["C"]}, seed=seed
        )
"""
_SEED = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A loop, an accepted span of its rows, and a trainer of one's own."""
    home = tmp_path_factory.mktemp("home")
    (home / "fragile.py").write_text(_FRAGILE)
    tree = {
        "apiVersion": "kontinual.dev/v1alpha1",
        "kind": "Loop",
        "name": "shop",
        "data": {
            "id": "order",
            "time": "at",
            "label": {"name": "returned", "delay": "14d"},
            "features": [{"name": "price", "type": "number", "range": [0, 1000]}],
            "history": {"table": "orders.parquet"},
            "span": "60d",
        },
        "training": {
            "metric": "roc_auc",
            "trainers": [
                {
                    "algorithm": "fragile:FragileTrainer",
                    "search": {
                        "fate": {"type": "categorical", "values": ["it's raising", "lives; well"]},
                        "C": {"type": "discrete", "values": [0.5]},
                    },
                }
            ],
            "tuning": {"trials": 2, "parallel": 2, "algorithm": "grid"},
        },
        "gates": [{"metric": "log_loss", "on": "new", "max_regression": 0.0}],
        "monitoring": {"alerts": [{"kind": "quality_decay", "threshold": 0.05}]},
    }
    with (home / "my loop.yaml").open("w") as file:
        YAML().dump(tree, file)
    rng, rows = np.random.default_rng(0), 900
    price = rng.uniform(0, 1000, rows)
    table = pd.DataFrame(
        {
            "order": [f"o{i}" for i in range(rows)],
            "at": pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"),
            "price": price,
            "returned": (rng.random(rows) < price / 1000).astype(np.int64),
        }
    )
    loop = load_loop(str(home / "my loop.yaml"))
    lake = Lake((home / "lake").as_uri(), loop)
    span = lake.write(table, source="table")
    lake.judge(Verdict(span=span.number, accepted=True, by="a test", at=span.created_at))
    return home


@pytest.fixture
def settings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("KONTINUAL_HOME", str(home))
    monkeypatch.syspath_prepend(str(home))
    return Settings(tuner="katib", train_image="train:1")


@pytest.fixture
def loop(home: Path) -> Loop:
    return load_loop(str(home / "my loop.yaml"))


def _quality(loop: Loop, settings: Settings) -> dict[str, float]:
    """What the only sound point of the space is worth, worked out here."""
    data = prepare(loop, Lake(settings.lake_url, loop), 1, seed=_SEED)
    point = Suggestion(
        algorithm="fragile:FragileTrainer", parameters={"fate": "lives; well", "C": 0.5}
    )
    return score(loop, Split.of(data), point, _SEED)


def test_katibs_jobs_find_what_this_process_finds_and_keep_it(
    make_cluster: MakeCluster,
    home: Path,
    settings: Settings,
    loop: Loop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    cluster = make_cluster(loop, None, {"PATH": path, "PYTHONPATH": str(home)})
    with (tmp_path / "kubeconfig").open("w") as file:
        YAML().dump(cluster.server.kubeconfig(namespace=NAMESPACE), file)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr("kontinual.tuning.katib.search._POLL_SECONDS", 0.2)
    tracker = Tracker(settings.tracking_uri, loop.name)
    result = search(
        loop,
        Lake(settings.lake_url, loop),
        1,
        url=str(home / "my loop.yaml"),
        settings=settings,
        tracker=tracker,
        run_id="shop-1",
        seed=_SEED,
    )
    assert result.best.parameters == {"fate": "lives; well", "C": 0.5}
    assert result.best.metrics == _quality(loop, settings)
    (failed,) = [t for t in result.trials if not t.complete]
    assert failed.parameters["fate"] == "it's raising"
    assert "RuntimeError: no such luck" in str(failed.error)
    for trial in result.trials:
        assert 0 < trial.seconds < 120
        assert 0 < trial.cpu_seconds < 120
        assert 20e6 < trial.peak_memory_bytes < 2e9
    assert tracker.trials() == sorted(result.trials, key=lambda t: -t.number)
    assert "no such luck" in trials_html(result)
    assert cluster.find("experiments") == []


def _arguments(home: Path, *more: str, **assignments: str) -> list[str]:
    sets = {"algorithm": "fragile:FragileTrainer"} | {
        f"fragile:FragileTrainer.{name}": text for name, text in assignments.items()
    }
    return [
        *("--loop", f"{home}/my%20loop.yaml", "--run-id", "by-hand", "--span", "1"),
        *("--seed", str(_SEED), "--name", "t-1", *more),
        *(part for name, text in sets.items() for part in ("--set", f"{name}={text}")),
    ]


def test_a_trial_in_steps_tells_of_each_and_of_all_rows_last(
    home: Path, settings: Settings, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_arguments(home, "--in-steps", fate="lives%3B%20well")) == 0
    output = capsys.readouterr().out
    found = [float(value) for _, _, value in reported(output, ["roc_auc"])]
    assert len(found) == 3
    assert found[-1] == _quality(loop, settings)["roc_auc"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT.*Z \w+=\S+$", line) for line in output.splitlines())
    objective: dict[str, Any] = {
        "objectiveMetricName": "roc_auc",
        "metricStrategies": [{"name": "roc_auc", "value": "latest"}],
    }
    assert observe(output, objective)["metrics"][0]["latest"] == repr(found[-1])


def test_a_trial_that_fails_prints_no_metric_and_says_why(
    home: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = tmp_path / "termination-log"
    shown.touch()
    monkeypatch.setattr("kontinual.tuning.trial._LAST_WORDS", shown)
    assert main(_arguments(home, fate="it%27s%20raising")) == 1
    assert capsys.readouterr().out == ""
    assert "RuntimeError: no such luck" in caplog.text
    assert "RuntimeError: no such luck" in shown.read_text("utf-8")


def test_a_trial_with_assignments_of_another_space_says_which(
    home: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(_arguments(home, fate="unknown")) == 1
    assert "fate is one of" in caplog.text


def test_a_trial_whose_tracking_is_away_has_its_result_all_the_same(
    home: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("KONTINUAL_TRACKING", "nowhere://x")
    assert main(_arguments(home, fate="lives%3B%20well")) == 0
    assert reported(capsys.readouterr().out, ["roc_auc"])
    assert "a tracking URI is" in caplog.text
