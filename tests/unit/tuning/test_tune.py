"""The search with real processes: deterministic, and unharmed by a trial that dies."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from kontinual.errors import TrainingError
from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.training import TrainingSet
from kontinual.tuning import TuningResult, tune

MakeLoop = Callable[..., Loop]
_C = {"C": {"type": "double", "min": 0.001, "max": 10, "scale": "log"}}
_LINEAR = {"algorithm": "logistic_regression", "search": _C}
_FRAGILE = """
import os
import signal
import time

from kontinual.training.trainers.logistic_regression import LogisticRegressionTrainer


class FragileTrainer(LogisticRegressionTrainer):
    known = None

    def fit(self, matrix, labels, *, features, parameters, seed):
        fate = parameters["fate"]
        if fate == "raises":
            raise RuntimeError("no such luck")
        if fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fate == "exits":
            os._exit(3)
        if fate == "hangs":
            time.sleep(600)
        return super().fit(matrix, labels, features=features, parameters={}, seed=seed)
"""


class _Tracker(Protocol):
    kept: list[tuple[str, TrialRecord]]

    def log_trial(self, run_id: str, trial: TrialRecord) -> None: ...

    def trials(self, limit: int = 200) -> list[TrialRecord]: ...


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    (tmp_path / "fragile.py").write_text(_FRAGILE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def trainer(*fates: str) -> dict[str, Any]:
        search = {"fate": {"type": "categorical", "values": list(fates)}}
        return {"algorithm": "fragile:FragileTrainer", "search": search}

    return trainer


def _tune(loop: Loop, data: TrainingSet, tracker: _Tracker, **options: Any) -> TuningResult:
    return tune(loop, data, tracker=tracker, run_id="flights-1", seed=1, **options)


def _outcome(result: TuningResult) -> list[tuple[str, dict[str, Any], dict[str, float]]]:
    return [(t.algorithm, t.parameters, t.metrics) for t in result.trials]


def test_the_declared_seed_decides_what_is_tried(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    tried = []
    for seed in (0, 1):
        loop = make_loop(_LINEAR, algorithm="random", trials=3, seed=seed)
        tracker.kept.clear()
        tried.append([t.parameters for t in _tune(loop, data, tracker).trials])
    assert tried[0][0] == tried[1][0]  # the trainer's defaults
    assert tried[0][1:] != tried[1][1:]


def test_the_same_seed_gives_the_same_trials_and_the_same_best(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    loop = make_loop(trials=6, parallel=2)
    first = _tune(loop, data, tracker)
    tracker.kept.clear()
    second = _tune(loop, data, tracker)
    assert _outcome(first) == _outcome(second)
    assert first.best.number == second.best.number
    assert {t.algorithm for t in first.trials} == {"hist_gradient_boosting", "logistic_regression"}
    assert first.best.metrics["log_loss"] == min(t.metrics["log_loss"] for t in first.trials)


def test_every_trial_is_kept_with_what_it_cost_and_told_to_the_progress(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    told: list[tuple[int, int, int]] = []
    result = _tune(
        make_loop(_LINEAR, trials=3, parallel=2),
        data,
        tracker,
        progress=lambda done, total, trial: told.append((done, total, trial.number)),
    )
    assert told == [(1, 3, 0), (2, 3, 1), (3, 3, 2)]
    assert [(run, t.number) for run, t in reversed(tracker.kept)] == [
        ("flights-1", n) for n in range(3)
    ]
    for trial in result.trials:
        assert trial.seconds > 0
        assert 0 < trial.cpu_seconds < 60
        assert 20e6 < trial.peak_memory_bytes < 2e9
        assert set(trial.metrics) == {"roc_auc", "log_loss", "brier"}


def test_the_next_search_begins_with_the_best_of_the_last(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    loop = make_loop(_LINEAR, trials=4, parallel=2)
    first = _tune(loop, data, tracker)
    second = _tune(loop, data, tracker)
    assert second.trials[0].parameters == first.best.parameters
    assert second.best.metrics["log_loss"] <= first.best.metrics["log_loss"]


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        ("raises", "RuntimeError: no such luck"),
        ("killed", "killed by SIGKILL; the system may be out of memory"),
        ("exits", "ended with exit code 3 before it had a result"),
    ],
)
def test_a_trial_that_dies_costs_only_itself(
    make_loop: MakeLoop,
    data: TrainingSet,
    tracker: _Tracker,
    fragile: Callable[..., dict[str, Any]],
    fate: str,
    error: str,
) -> None:
    loop = make_loop(fragile(fate, "lives"), trials=4, parallel=2, algorithm="grid")
    result = _tune(loop, data, tracker)
    fates = {t.parameters["fate"]: t for t in result.trials}
    assert fates[fate].state == "failed"
    assert error in str(fates[fate].error)
    assert result.best.parameters == {"fate": "lives"}
    assert len(tracker.kept) == 2


def test_when_every_trial_fails_the_first_error_is_told(
    make_loop: MakeLoop,
    data: TrainingSet,
    tracker: _Tracker,
    fragile: Callable[..., dict[str, Any]],
) -> None:
    loop = make_loop(fragile("raises"), trials=2, parallel=2)
    expected = r"all 2 trials failed; the first, .*'fate': 'raises'.*no such luck"
    with pytest.raises(TrainingError, match=expected):
        _tune(loop, data, tracker)
    assert len(tracker.kept) == 2


def test_a_trial_that_hangs_is_ended_and_leaves_no_process(
    make_loop: MakeLoop,
    data: TrainingSet,
    tracker: _Tracker,
    fragile: Callable[..., dict[str, Any]],
) -> None:
    loop = make_loop(
        fragile("hangs", "lives"), trials=4, parallel=2, algorithm="grid", timeout="5s"
    )
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    result = _tune(loop, data, tracker)
    hung = next(t for t in result.trials if t.parameters["fate"] == "hangs")
    assert "ran past twice the search's timeout" in str(hung.error)
    assert hung.seconds >= 9
    assert result.best.parameters == {"fate": "lives"}
    servers = [p for p in psutil.Process().children() if p.pid not in before]
    assert [c for s in servers for c in s.children()] == []


def test_the_timeout_stops_the_asking_but_not_before_a_first_batch(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    ticks = itertools.count(step=3600)
    loop = make_loop(_LINEAR, trials=8, parallel=2, timeout="100h")
    result = _tune(loop, data, tracker, clock=lambda: float(next(ticks)))
    assert 2 <= len(result.trials) < 60
    short = make_loop(_LINEAR, trials=8, parallel=2, timeout="3h")
    assert len(_tune(short, data, tracker, clock=_jump(after=4)).trials) == 2


def _jump(*, after: int) -> Callable[[], float]:
    """A clock that stands still for some readings, then is four hours later."""
    readings = itertools.count()
    return lambda: 0.0 if next(readings) < after else 4 * 3600.0


def test_an_unknown_trainer_is_told_before_any_process_starts(
    make_loop: MakeLoop, data: TrainingSet, tracker: _Tracker
) -> None:
    with pytest.raises(TrainingError, match="no trainer is called 'quantum'"):
        _tune(make_loop({"algorithm": "quantum"}), data, tracker)
    assert tracker.kept == []
