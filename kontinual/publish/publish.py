"""Publishing: everything that Kubeflow has to know of a loop, changed only where it differs."""

from kontinual.cluster.kfp import (
    Connection,
    Pipelines,
    Recurrence,
    RecurringRuns,
    Runs,
    Version,
)
from kontinual.errors import SpecError
from kontinual.publish.change import Change, Verb
from kontinual.publish.declaration import store_declaration
from kontinual.publish.pipeline import CompiledPipeline
from kontinual.publish.schedule import reconcile, recurring_name
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.spec.hosts import check_hosts

__all__ = ["Publisher"]

_PARAMETERS = {"loop", "run_id", "trigger"}


class Publisher:
    """Publishes one loop. Whatever interrupts it, calling it again completes the work."""

    def __init__(
        self, loop: Loop, text: str, compiled: CompiledPipeline, settings: Settings
    ) -> None:
        """Set up; nothing is sent.

        Args:
            loop: the declaration.
            text: of the declaration, as it is stored.
            compiled: the pipeline.
            settings: where the lake and Kubeflow Pipelines are.

        Raises:
            SpecError: the pipeline does not take what a run is told, or KServe could not take the
                loop's name.
        """
        if settings.kfp_namespace is not None:
            check_hosts(loop.name, settings.kfp_namespace, settings.kserve_mode)
        missing = _PARAMETERS - compiled.parameters
        if missing:
            raise SpecError(
                f"pipeline {compiled.name!r} has no parameter {', '.join(sorted(missing))}; "
                f"a run is told {', '.join(sorted(_PARAMETERS))}"
            )
        self._loop, self._text = loop, text
        self._compiled, self._settings = compiled, settings
        connection = Connection.of(settings)
        self._pipelines = Pipelines(connection)
        self._runs = Runs(connection, loop.name)
        self._recurring = RecurringRuns(connection)

    def publish(self, *, dry_run: bool = False) -> list[Change]:
        """Bring everything up to date; returns what was done, or would be, in its order.

        Raises:
            SpecError: pods could not read the declaration or its history.
            LakeError: the store failed.
            ClusterError: Kubeflow Pipelines refused or did not answer.
        """
        declaration = store_declaration(self._text, self._loop, self._settings, dry_run=dry_run)
        pipeline, version, changes = self._publish_pipeline(dry_run=dry_run)
        schedule = self._publish_schedule(version, url=declaration.name, dry_run=dry_run)
        return [declaration, pipeline, *changes, schedule]

    def _publish_pipeline(self, *, dry_run: bool) -> tuple[Change, Version | None, list[Change]]:
        """The pipeline and its version, which is None when it would yet have to be made."""
        name, label = self._settings.kfp_pipeline, self._compiled.version
        pipeline = self._pipelines.find(name)
        change = Change("pipeline", Verb.UNCHANGED if pipeline else Verb.CREATED, name)
        if pipeline is None and not dry_run:
            pipeline = self._pipelines.create(name, self._compiled.description)
        version = self._pipelines.version(pipeline, label) if pipeline else None
        verb = Verb.UNCHANGED if version else Verb.CREATED
        if version is None and pipeline is not None and not dry_run:
            with self._compiled.file() as file:
                version = self._pipelines.upload(pipeline, label, file)
        return change, version, [Change("pipeline version", verb, label)]

    def _publish_schedule(self, version: Version | None, *, url: str, dry_run: bool) -> Change:
        schedule, name = self._loop.schedule, recurring_name(self._loop.name)
        experiment = self._runs.find_experiment()
        if experiment is None and schedule is not None and not dry_run:
            experiment = self._runs.experiment_id()
        there = self._recurring.named(name, experiment=experiment) if experiment else []
        wanted = None
        if schedule is not None:
            wanted = Recurrence(
                experiment=experiment or "",
                version=version or Version(pipeline="", id=""),
                # A run by the calendar gets its name when it starts.
                parameters={"loop": url, "run_id": "", "trigger": "schedule"},
                cron=f"0 {schedule.cron}" if schedule.cron else None,  # seconds in front
                every_seconds=int(schedule.every.total_seconds()) if schedule.every else None,
                enabled=not schedule.paused,
            )
        return reconcile(self._recurring, name, there, wanted, dry_run=dry_run)
