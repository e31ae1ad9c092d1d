"""Recurring runs of Kubeflow Pipelines. The server can not change one: it is replaced."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kontinual.cluster.kfp.connection import Connection
from kontinual.cluster.kfp.pipelines import Version

__all__ = ["Recurrence", "Recurring", "RecurringRuns"]


@dataclass(frozen=True)
class Recurrence:
    """What is wanted of a recurring run. One run at a time, and none for missed times.

    Args:
        experiment: id of the experiment of its runs.
        version: what is run.
        parameters: of every run.
        cron: six fields, seconds first, in the server's time zone (UTC as it is installed).
        every_seconds: from one start to the next, where there is no `cron`.
        enabled: does it start runs?
    """

    experiment: str
    version: Version
    parameters: dict[str, Any]
    cron: str | None = None
    every_seconds: int | None = None
    enabled: bool = True

    def same_but_for_pause(self, other: "Recurrence") -> bool:
        """Would switching one on or off make it the other?"""
        return self.switched(enabled=other.enabled) == other

    def switched(self, *, enabled: bool) -> "Recurrence":
        """The same, switched on or off."""
        return replace(self, enabled=enabled)


@dataclass(frozen=True)
class Recurring:
    """A recurring run that the server has."""

    id: str
    created_at: datetime
    wanted: Recurrence | None  # None: it is none of ours, such as one that catches up
    enabled: bool


class RecurringRuns:
    """Finds, makes, switches and deletes recurring runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def named(self, name: str, *, experiment: str) -> list[Recurring]:
        """Those of this name in an experiment, the oldest first."""
        found = self._connection.named(
            f"looking for recurring run {name}",
            "recurring_runs",
            "recurring_run_service_list_recurring_runs",
            "recurring_runs",
            name,
            experiment_id=experiment,
        )
        return sorted(map(_recurring, found), key=lambda r: (r.created_at, r.id))

    def create(self, name: str, wanted: Recurrence) -> str:
        """Make one; returns its id."""
        import kfp_server_api as api

        trigger = (
            api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=wanted.cron))
            if wanted.cron
            else api.V2beta1Trigger(
                periodic_schedule=api.V2beta1PeriodicSchedule(
                    interval_second=str(wanted.every_seconds)
                )
            )
        )
        body = api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=wanted.experiment,
            pipeline_version_reference=api.V2beta1PipelineVersionReference(
                pipeline_id=wanted.version.pipeline, pipeline_version_id=wanted.version.id
            ),
            runtime_config=api.V2beta1RuntimeConfig(parameters=wanted.parameters),
            max_concurrency="1",
            no_catchup=True,
            mode=_mode(wanted.enabled),
            trigger=trigger,
        )
        made = self._connection.call(
            f"making recurring run {name}",
            "recurring_runs",
            "recurring_run_service_create_recurring_run",
            recurring_run=body,
        )
        return str(made.recurring_run_id)

    def switch(self, recurring_id: str, *, enabled: bool) -> None:
        """Let it start runs, or not."""
        verb = "enable" if enabled else "disable"
        self._connection.call(
            f"switching recurring run {recurring_id}",
            "recurring_runs",
            f"recurring_run_service_{verb}_recurring_run",
            recurring_run_id=recurring_id,
        )

    def delete(self, recurring_id: str) -> None:
        """Delete it; its runs stay."""
        self._connection.call(
            f"deleting recurring run {recurring_id}",
            "recurring_runs",
            "recurring_run_service_delete_recurring_run",
            recurring_run_id=recurring_id,
        )


def _mode(enabled: bool) -> str:
    return "ENABLE" if enabled else "DISABLE"


def _recurring(told: Any) -> Recurring:
    enabled = told.mode != "DISABLE" and told.status != "DISABLED"
    ours = told.no_catchup and str(told.max_concurrency) == "1" and told.trigger is not None
    reference = told.pipeline_version_reference
    wanted = None
    if ours and reference is not None:
        cron, period = told.trigger.cron_schedule, told.trigger.periodic_schedule
        wanted = Recurrence(
            experiment=told.experiment_id,
            version=Version(reference.pipeline_id, reference.pipeline_version_id),
            parameters=dict(told.runtime_config.parameters or {}),
            cron=cron.cron if cron else None,
            every_seconds=int(period.interval_second) if period else None,
            enabled=enabled,
        )
    return Recurring(
        id=told.recurring_run_id, created_at=told.created_at, wanted=wanted, enabled=enabled
    )
