"""Runs of Kubeflow Pipelines, started once and followed to their end.

The server makes a run for every request that reaches it: names are not unique, and a request
whose answer is lost may have been carried out. So a run is looked for by its name before it is
made, and after a request in doubt it is only looked for, for as long as the server could still
be at it. Should two be made all the same, the older one is the run and the other is stopped.

A run that is terminated gets no word of it, and its rollout no moment to put the champion back. So
that comes before; and a run that failed is over when nothing is left of its rollout.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from kontinual.cluster.kfp import Connection, KfpRun, Pipelines, Runs, Version
from kontinual.errors import ClusterError, ServiceError
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger.contracts import Run
from kontinual.trigger.retreat import NoRetreat, Retreat

__all__ = ["KfpLauncher"]

log = logging.getLogger(__name__)
DOUBT = timedelta(minutes=2)
RETREAT_SECONDS = 120.0  # a run that is asked to end has so long before it is terminated
CALL_SECONDS = 15.0  # and to connect once more: less than a Launcher may take


class KfpLauncher:
    """A Launcher of the trigger. One thread calls it."""

    def __init__(
        self,
        connection: Connection,
        *,
        loop: Loop,
        loop_url: str,
        pipeline: str,
        records: Callable[[str], RunRecord | None],
        clock: Callable[[], datetime],
        retreat: Retreat | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up a launcher; nothing is asked yet.

        Args:
            connection: to Kubeflow Pipelines.
            loop: whose runs these are; they are grouped in the experiment of its name.
            loop_url: of the declaration, as the pods read it.
            pipeline: name that it was published by.
            records: the record that a run left in the lake's journal, by run id.
            clock: tells the time, in UTC.
            retreat: puts the champion back where a run's rollout is unfinished.
            monotonic: tells seconds, whatever the clock is set to.
        """
        self._connection = connection
        self._runs = Runs(connection, loop.name)
        self._pipelines = Pipelines(connection)
        self._loop, self._loop_url = loop, loop_url
        self._pipeline = pipeline
        self._records = records
        self._clock = clock
        self._doubts: dict[str, datetime] = {}
        self._retreat = retreat or NoRetreat()
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}  # when runs were first asked to end

    def launch(self, run: Run) -> dict[str, Any]:
        """Start the run unless there is one of its name; returns its id and its page's address.

        Raises:
            ClusterError: not started, or not known to be; to be asked again.
        """
        with self._connection.within(CALL_SECONDS):
            found = self._runs.named(run.id) or [self._start(run)]
            self._doubts.pop(run.id, None)
            for other in found[1:]:
                if not other.has_ended:
                    log.warning("a second run %s is stopped", other.id, extra={"run": run.id})
                    self._runs.terminate(other.id)
        return _process(found[0])

    def outcome(self, run: Run) -> RunRecord | None:
        """The record of a run that has ended, however; None while it goes on, or may yet appear.

        One that failed has ended when nothing is left of its rollout.

        Raises:
            ClusterError: it is not known how the run is.
            ServiceError: its rollout could not be taken back; that is tried again.
        """
        with self._connection.within(CALL_SECONDS):
            found = self._found(run)
        if not all(told.has_ended for told in found) or (not found and self._may_appear(run)):
            return None
        record = self._records(run.id) or self._without_record(run, found)
        has_run = run.process is not None or bool(found)
        if has_run and record.outcome is Outcome.FAILED and not self._retreat.is_over(run):
            return None
        self._doubts.pop(run.id, None)
        self._asked.pop(run.id, None)
        return record

    def stop(self, run: Run) -> None:
        """Ask it to end; asking one that is ending or has ended changes nothing.

        It is terminated when nothing is left of its rollout, or after `RETREAT_SECONDS`.
        """
        with self._connection.within(CALL_SECONDS):
            going = [t for t in self._found(run) if not t.has_ended and t.state != "CANCELING"]
            if going and self._may_end(run):
                for told in going:
                    self._runs.terminate(told.id)

    def _may_end(self, run: Run) -> bool:
        now = self._monotonic()
        if now - self._asked.setdefault(run.id, now) > RETREAT_SECONDS:
            return True
        try:
            return self._retreat.is_over(run)
        except ServiceError as exc:
            log.warning("tried again before it is terminated: %s", exc, extra={"run": run.id})
            return False

    def _found(self, run: Run) -> list[KfpRun]:
        """The run as the server tells of it; by its name where no answer told its id."""
        if run.process is None:
            return self._runs.named(run.id)
        told = self._runs.get(run.process["kfp_run"])
        return [] if told is None else [told]

    def _may_appear(self, run: Run) -> bool:
        """Could the server still be at a request to start it, of this process or an earlier one?

        None is sent after the run was asked to end.
        """
        asked = [self._doubts.get(run.id), run.stop and run.stop.at]
        return run.process is None and any(at and self._is_recent(at) for at in asked)

    def _is_recent(self, at: datetime) -> bool:
        """Less than `DOUBT` ago; a moment as far ahead is of a clock that has stepped back."""
        return abs(self._clock() - at) < DOUBT

    def _start(self, run: Run) -> KfpRun:
        asked = self._doubts.get(run.id)
        if asked is not None and self._is_recent(asked):
            raise ClusterError(
                f"run {run.id} may have been made although Kubeflow Pipelines did not say so; "
                f"it is looked for until {asked + DOUBT:%H:%M:%S}, then started anew"
            )
        version, parameters = self._version(), self._parameters(run)
        try:
            return self._runs.start(run.id, version=version, parameters=parameters)
        except ClusterError as exc:
            if not 400 <= exc.status < 500:
                self._doubts[run.id] = self._clock()
            raise

    def _version(self) -> Version:
        pipeline = self._pipelines.find(self._pipeline)
        version = self._pipelines.newest(pipeline) if pipeline else None
        if version is None:
            raise ClusterError(
                f"Kubeflow Pipelines has no pipeline {self._pipeline!r} with a version; "
                "publish it: kontinual publish LOOP"
            )
        return version

    def _parameters(self, run: Run) -> dict[str, Any]:
        return {
            "loop": self._loop_url,
            "run_id": run.id,
            "trigger": str(run.trigger),
            "seed": run.wish.seed,
        }

    def _without_record(self, run: Run, found: list[KfpRun]) -> RunRecord:
        """The record of a run that left none: its last step did not come to its end."""
        missing = "was never started" if run.process is None else "was deleted"
        how = f"ended as {found[0].state}" if found else missing
        more = f": {found[0].error}" if found and found[0].error else ""
        return RunRecord(
            id=run.id,
            loop=self._loop.name,
            trigger=str(run.trigger),
            outcome=Outcome.FAILED,
            reason=f"the run in Kubeflow Pipelines {how} and left no record{more}",
            started_at=run.launched_at or run.accepted_at,
            ended_at=self._clock(),
        )


def _process(run: KfpRun) -> dict[str, Any]:
    return {"kfp_run": run.id, "url": run.link}
