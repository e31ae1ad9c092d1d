"""Runs of Kubeflow Pipelines."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kontinual.cluster.kfp.connection import Connection
from kontinual.cluster.kfp.pipelines import Version
from kontinual.errors import ClusterError

__all__ = ["KfpRun", "Runs"]

# PAUSED and CANCELING runs, and those of states yet unknown to us, may still go on.
_ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}


@dataclass(frozen=True)
class KfpRun:
    """A run as the server tells of it."""

    id: str
    name: str
    experiment: str
    state: str
    created_at: datetime
    error: str | None
    link: str

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED


class Runs:
    """Finds, starts, follows and stops the runs of one experiment."""

    def __init__(self, connection: Connection, experiment: str) -> None:
        """Set up; nothing is sent.

        Args:
            connection: to the server.
            experiment: name of the experiment that groups the runs; made when first needed.
        """
        self._connection = connection
        self._experiment = experiment
        self._experiment_id: str | None = None

    def named(self, name: str) -> list[KfpRun]:
        """The runs of this name, the oldest first; archived ones as well."""
        found = self._connection.named(
            f"looking for run {name}",
            "runs",
            "run_service_list_runs",
            "runs",
            name,
            experiment_id=self.experiment_id(),
        )
        return sorted(map(self._run, found), key=lambda run: (run.created_at, run.id))

    def start(self, name: str, *, version: Version, parameters: dict[str, Any]) -> KfpRun:
        """Start a run. Nothing keeps a second one of the same name from being made.

        Raises:
            ClusterError: refused; or with status 0 or 5xx, when it may have been made all the same.
        """
        import kfp_server_api as api

        body = api.V2beta1Run(
            experiment_id=self.experiment_id(),
            display_name=name,
            pipeline_version_reference=api.V2beta1PipelineVersionReference(
                pipeline_id=version.pipeline, pipeline_version_id=version.id
            ),
            runtime_config=api.V2beta1RuntimeConfig(parameters=parameters),
        )
        return self._run(
            self._connection.call(
                f"starting run {name}", "runs", "run_service_create_run", run=body
            )
        )

    def get(self, run_id: str) -> KfpRun | None:
        """The run of this id; None when there is none (any more)."""
        try:
            return self._run(
                self._connection.call(
                    f"asking for run {run_id}", "runs", "run_service_get_run", run_id=run_id
                )
            )
        except ClusterError as exc:
            if exc.status == 404:
                return None
            raise

    def terminate(self, run_id: str) -> None:
        """Ask for a run's end; it has come when the state says so."""
        self._connection.call(
            f"stopping run {run_id}", "runs", "run_service_terminate_run", run_id=run_id
        )

    def experiment_id(self) -> str:
        """Of the experiment, which is made when there is none."""
        if self._experiment_id is None:
            self._experiment_id = self.find_experiment() or self._make_experiment()
        return self._experiment_id

    def find_experiment(self) -> str | None:
        """The experiment's id; None when there is none."""
        found = self._connection.named(
            f"looking for experiment {self._experiment}",
            "experiments",
            "experiment_service_list_experiments",
            "experiments",
            self._experiment,
            namespace=self._connection.namespace,
        )
        return str(found[0].experiment_id) if found else None

    def _make_experiment(self) -> str:
        import kfp_server_api as api

        body = api.V2beta1Experiment(
            display_name=self._experiment, namespace=self._connection.namespace
        )
        what = f"making experiment {self._experiment}"
        try:
            made = self._connection.call(
                what, "experiments", "experiment_service_create_experiment", experiment=body
            )
        except ClusterError:
            # Another was faster, or it was made although the answer was lost.
            found = self.find_experiment()
            if found is None:
                raise
            return found
        return str(made.experiment_id)

    def _run(self, told: Any) -> KfpRun:
        return KfpRun(
            id=told.run_id,
            name=told.display_name,
            experiment=told.experiment_id,
            state=told.state or "RUNTIME_STATE_UNSPECIFIED",
            created_at=told.created_at,
            error=told.error.message if told.error else None,
            link=self._connection.link(f"runs/details/{told.run_id}"),
        )
