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
_MAX_ERROR = 1_000  # an MLflow tag holds 8,000 characters


class TrialLog:
    """Writes and reads trials below one MLflow experiment, named after the loop."""

    def __init__(self, store: Store, loop_name: str) -> None:
        self._store = store
        self._name = loop_name
        self._experiment: str | None = None
        self._parents: dict[str, str] = {}

    def log(self, run_id: str, trial: TrialRecord) -> None:
        """Keep a trial as a nested run of its run."""
        parent = self.parent(run_id)
        now = time.time_ns() // 1_000_000
        client = self._store.client
        run = client.create_run(
            self.experiment(),
            start_time=now - round(trial.seconds * 1000),
            run_name=f"trial-{trial.number}",
            tags={
                "mlflow.parentRunId": parent,
                _RUN: run_id,
                _KIND: "trial",
                "state": trial.state,
                _TRIAL: _brief(trial).model_dump_json(),
            },
        )
        client.log_batch(run.info.run_id, metrics=_metrics(trial, now), params=_params(trial))
        status = "FINISHED" if trial.complete else "FAILED"
        client.set_terminated(run.info.run_id, status=status, end_time=now)

    def newest(self, limit: int) -> list[TrialRecord]:
        """The latest trials of all runs, newest first."""
        runs = self._store.client.search_runs(
            [self.experiment()],
            filter_string=f"tags.`{_KIND}` = 'trial'",
            max_results=limit,
            order_by=["attributes.end_time DESC", "attributes.start_time DESC"],
        )
        return [record for run in runs if (record := _read(run.data.tags)) is not None]

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
