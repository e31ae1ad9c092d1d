"""Trials as MLflow runs: one parent per run of Kontinual, one nested run per trial."""

import logging
import time
from typing import Any

from pydantic import ValidationError

from kontinual.tracking.records import TrialRecord
from kontinual.tracking.store import Store, tracking_errors

__all__ = ["TrialLog"]

_log = logging.getLogger(__name__)
_RUN = "kontinual.run"
_KIND = "kontinual.kind"
_TRIAL = "kontinual.trial"
_NAME = "kontinual.trial.name"
_MAX_ERROR = 1_000  # an MLflow tag holds 8,000 characters
_MAX_TRIALS = 10_000  # as many as a declaration may ask for


class TrialLog:
    """Writes and reads trials below one MLflow experiment, named after the loop."""

    def __init__(self, store: Store, loop_name: str) -> None:
        self._store = store
        self._name = loop_name
        self._experiment: str | None = None
        self._parents: dict[str, str] = {}

    def log(self, run_id: str, trial: TrialRecord, *, name: str | None = None) -> None:
        """Keep a trial as a nested run of its run; with a name, in place of what it was."""
        known = self._runs(run_id, name) if name else []
        if known:
            self._tell(known[0].info.run_id, trial)
            return
        parent = self.parent(run_id)
        now = time.time_ns() // 1_000_000
        client = self._store.client
        run = client.create_run(
            self.experiment(),
            start_time=now - round(trial.seconds * 1000),
            run_name=name or f"trial-{trial.number}",
            tags={
                "mlflow.parentRunId": parent,
                _RUN: run_id,
                _KIND: "trial",
                **({_NAME: name} if name else {}),
                **_tags(trial),
            },
        )
        client.log_batch(run.info.run_id, metrics=_metrics(trial, now), params=_params(trial))
        client.set_terminated(run.info.run_id, status=_status(trial), end_time=now)

    def named(self, run_id: str) -> dict[str, TrialRecord]:
        """The trials of a run that were logged under a name."""
        tags = [run.data.tags for run in self._runs(run_id)]
        return {t[_NAME]: record for t in tags if _NAME in t and (record := _read(t)) is not None}

    def newest(self, limit: int) -> list[TrialRecord]:
        """The latest trials of all runs, newest run first and in a run the last first."""
        runs = self._store.client.search_runs(
            [self.experiment()],
            filter_string=f"tags.`{_KIND}` = 'trial'",
            max_results=limit,
            order_by=["attributes.end_time DESC", "attributes.start_time DESC"],
        )
        searches: dict[str, list[TrialRecord]] = {}
        for run in runs:
            if (record := _read(run.data.tags)) is not None:
                searches.setdefault(run.data.tags[_RUN], []).append(record)
        # Trials that ran side by side ended in another order than that of their numbers.
        return [t for trials in searches.values() for t in sorted(trials, key=_later_first)]

    def parent(self, run_id: str) -> str:
        """MLflow's id of a run of Kontinual, made where there is none yet."""
        if run_id not in self._parents:
            with self._store.locked():
                self._parents[run_id] = self._find_parent(run_id) or self._make_parent(run_id)
        return self._parents[run_id]

    def experiment(self) -> str:
        """MLflow's id of the loop's experiment, made where there is none yet."""
        if self._experiment is None:
            with tracking_errors(f"experiment {self._name} can not be made"):
                self._experiment = self._find_experiment()
        return self._experiment

    def _runs(self, run_id: str, name: str | None = None) -> list[Any]:
        tags = {_KIND: "trial", _RUN: run_id, **({_NAME: name} if name else {})}
        runs: list[Any] = self._store.client.search_runs(
            [self.experiment()],
            filter_string=" and ".join(f"tags.`{k}` = '{v}'" for k, v in tags.items()),
            max_results=_MAX_TRIALS,
        )
        return runs

    def _tell(self, mlflow_id: str, trial: TrialRecord) -> None:
        """Say anew how a trial went; its parameters and what it measured stay."""
        for key, value in _tags(trial).items():
            self._store.client.set_tag(mlflow_id, key, value)
        self._store.client.update_run(mlflow_id, status=_status(trial))

    def _find_experiment(self) -> str:
        client = self._store.client
        found = client.get_experiment_by_name(self._name)
        if found is None:
            with self._store.locked():
                found = client.get_experiment_by_name(self._name)
                if found is None:
                    place = self._store.folder / "artifacts" / self._name
                    location = place.as_uri() if self._store.local else None
                    return str(client.create_experiment(self._name, artifact_location=location))
        return str(found.experiment_id)

    def _find_parent(self, run_id: str) -> str | None:
        runs = self._store.client.search_runs(
            [self.experiment()],
            filter_string=f"tags.`{_KIND}` = 'run' and tags.`{_RUN}` = '{run_id}'",
            max_results=1,
        )
        return str(runs[0].info.run_id) if runs else None

    def _make_parent(self, run_id: str) -> str:
        run = self._store.client.create_run(
            self.experiment(), run_name=run_id, tags={_RUN: run_id, _KIND: "run"}
        )
        return str(run.info.run_id)


def _later_first(trial: TrialRecord) -> int:
    return -trial.number


def _status(trial: TrialRecord) -> str:
    return "FINISHED" if trial.complete else "FAILED"


def _tags(trial: TrialRecord) -> dict[str, str]:
    return {"state": trial.state, _TRIAL: _brief(trial).model_dump_json()}


def _brief(trial: TrialRecord) -> TrialRecord:
    return trial.model_copy(update={"error": trial.error and trial.error[:_MAX_ERROR]})


def _metrics(trial: TrialRecord, now: int) -> list[Any]:
    from mlflow.entities import Metric

    figures = {
        **trial.metrics,
        "seconds": trial.seconds,
        "cpu_seconds": trial.cpu_seconds,
        "peak_memory_bytes": float(trial.peak_memory_bytes),
    }
    return [Metric(key, value, now, 0) for key, value in figures.items()]


def _params(trial: TrialRecord) -> list[Any]:
    from mlflow.entities import Param

    values = {"algorithm": trial.algorithm, "seed": trial.seed, **trial.parameters}
    return [Param(key, str(value)) for key, value in values.items()]


def _read(tags: dict[str, str]) -> TrialRecord | None:
    try:
        return TrialRecord.model_validate_json(tags.get(_TRIAL, ""))
    except ValidationError:
        _log.warning("a trial of another version of Kontinual is left out of the warm start")
        return None
