"""A search run by Katib and followed to its end.

Its state is in the cluster alone: Experiments have the names that their run
gives them, so a step that died and is started again takes up what it finds.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kontinual.errors import ClusterError, TrainingError
from kontinual.interrupt import Interrupted, sigterm_interrupts
from kontinual.spec import LOOP_LABEL, Loop
from kontinual.tracking import TrialRecord
from kontinual.training import check_trainers
from kontinual.tuning.katib.api import KatibApi
from kontinual.tuning.katib.experiment import (
    RUN_LABEL,
    Plan,
    experiment,
    experiment_name,
    plan_first,
    plan_search,
    run_label,
)
from kontinual.tuning.katib.harvest import Harvest, NamedTrialStore
from kontinual.tuning.katib.job import Task
from kontinual.tuning.katib.status import condition, created_at, last_words, waiting
from kontinual.tuning.result import TuningResult, best_of
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.tune import Progress
from kontinual.tuning.warm_start import first_trials

__all__ = ["Clock", "tune_on_katib"]

_POLL_SECONDS = 5.0
_DELETION_LOOKS = 60  # five minutes for finalizers to let an old Experiment go
_PARTS = ("first", "search")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """Time as a search sees it.

    Attributes:
        now: UTC, to compare with the cluster's.
        sleep: between two looks.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


def tune_on_katib(
    loop: Loop,
    task: Task,
    *,
    api: KatibApi,
    tracker: NamedTrialStore,
    progress: Progress | None = None,
    clock: Clock = Clock(),
) -> TuningResult:
    """Search the loop's space by Jobs on a cluster.

    First an Experiment tries what former searches found best and the trainers' defaults, then
    another searches with what is left of the budget. At the end, however it comes, Experiments
    are deleted; with `keep` those that ended of themselves stay.

    Args:
        loop: space, metric and budget.
        task: what every trial is about.
        api: of the cluster.
        tracker: knows former trials, and keeps these, which log themselves.
        progress: told after each trial.
        clock: time.

    Raises:
        TrainingError: Katib gave up, with its reason; or no trial was done in twice the timeout.
        ClusterError: the cluster refused, or was away for minutes.
        TrackingError: a trial could not be kept.
        Interrupted: the process was asked to end (SIGTERM); the Experiments are deleted.
    """
    check_trainers(loop)
    tracker.open_run(task.run_id)
    harvest = Harvest(loop, task, tracker, progress)
    search = _Search(loop, task, api, harvest, clock)
    # The deletion stands within: a second SIGTERM does not stop what the first one began.
    with sigterm_interrupts():
        try:
            search.run(tracker.trials)
        except (Interrupted, KeyboardInterrupt):
            search.cancel()
            raise
        finally:
            search.clean_up()
    return TuningResult.of(harvest.records, loop.training.metric)


class _Search:
    """The Experiments of one run, one after the other."""

    def __init__(
        self, loop: Loop, task: Task, api: KatibApi, harvest: Harvest, clock: Clock
    ) -> None:
        self._loop = loop
        self._tuning = loop.training.tuning
        self._task = task
        self._api = api
        self._harvest = harvest
        self._clock = clock
        self._begun: datetime | None = None
        self._progress: tuple[int, int, int] | None = None
        self._waiting: list[str] = []
        self._words: dict[str, str] = {}
        self._may_see_pods = True

    def run(self, former: Callable[[], Sequence[TrialRecord]]) -> None:
        """Run, or go on with, both parts."""
        self._remove_orphans()
        self._part("first", lambda: plan_first(self._first(former())))
        left = self._tuning.trials - len(self._harvest.records)
        if left > 0 and not self._is_over():
            self._part("search", lambda: self._rest(left))

    def cancel(self) -> None:
        """Delete at once: whoever stops a step may not leave it time for a second look."""
        for part in reversed(_PARTS):
            with suppress(ClusterError):
                self._api.delete(experiment_name(self._task.run_id, part))

    def clean_up(self) -> None:
        """Delete what is not to be kept; trouble with that is told and hides no other."""
        for name in (experiment_name(self._task.run_id, part) for part in _PARTS):
            try:
                found = self._api.experiment(name)
                ended = found is not None and condition(found, "Succeeded", "Failed")
                if found is not None and not (self._tuning.katib.keep and ended):
                    self._api.delete(name)
                    _log.info("experiment %s: deleted", self._full(name))
            except ClusterError as exc:
                _log.error("%s; delete it by hand", exc)

    def _remove_orphans(self) -> None:
        """Delete what a former run of the loop was killed over; a loop has one run at a time."""
        for found in self._api.experiments(f"{LOOP_LABEL}={self._loop.name}"):
            owner = found["metadata"]["labels"].get(RUN_LABEL)
            if owner != run_label(self._task.run_id) and not condition(
                found, "Succeeded", "Failed"
            ):
                name = found["metadata"]["name"]
                _log.warning("experiment %s: left by run %s, deleted", self._full(name), owner)
                self._api.delete(name)

    def _first(self, former: Sequence[TrialRecord]) -> list[Suggestion]:
        space, metric = Space.of(self._loop), self._loop.training.metric
        return first_trials(space, former, metric=metric, limit=self._tuning.trials)

    def _rest(self, trials: int) -> Plan:
        return plan_search(
            Space.of(self._loop),
            self._tuning,
            trials=trials,
            seed=self._task.seed,
            done=self._harvest.points(),
        )

    def _part(self, part: str, make_plan: Callable[[], Plan]) -> None:
        name = experiment_name(self._task.run_id, part)
        found = self._existing(name)
        if found is not None:
            _log.info("experiment %s: taken up", self._full(name))
        else:
            plan = make_plan()
            if not plan.trials:
                return
            self._api.create(experiment(self._loop, plan, self._task))
            _log.info(
                "experiment %s: %s trials by %s", self._full(name), plan.trials, plan.algorithm
            )
            found = self._existing(name)
        if found is not None and self._begun is None:
            self._begun = created_at(found)
        self._follow(name)

    def _existing(self, name: str) -> dict[str, Any] | None:
        """The Experiment of this name, once one that is being deleted has gone.

        Raises:
            TrainingError: it is of another run, or does not go.
        """
        for _ in range(_DELETION_LOOKS):
            found = self._api.experiment(name)
            if found is None:
                return None
            owner = found["metadata"].get("labels", {}).get(RUN_LABEL)
            if owner != run_label(self._task.run_id):
                raise TrainingError(
                    f"experiment {self._full(name)} is not of run {self._task.run_id}, but of "
                    f"{owner}; delete it, or name the run otherwise"
                )
            if "deletionTimestamp" not in found["metadata"]:
                return found
            self._clock.sleep(_POLL_SECONDS)
        raise TrainingError(
            f"experiment {self._full(name)} is being deleted, but does not go; see its finalizers"
        )

    def _follow(self, name: str) -> None:
        """Wait until an Experiment ends or the time is over.

        Raises:
            TrainingError: it failed, was deleted, or had nothing to show in twice the timeout.
        """
        while True:
            found = self._api.experiment(name)
            if found is None or "deletionTimestamp" in found["metadata"]:
                raise TrainingError(
                    f"experiment {self._full(name)} was deleted while it ran; start the run again"
                )
            trials = self._api.trials(name)
            self._look_at_pods()
            self._harvest.take(trials, self._words)
            self._tell(found)
            if condition(found, "Failed"):
                raise TrainingError(self._failure(found))
            if condition(found, "Succeeded"):
                return
            if self._is_over():
                _log.warning("experiment %s: the time is over", self._full(name))
                return
            if self._age() > 2:
                raise TrainingError(self._no_result(name, trials))
            self._clock.sleep(_POLL_SECONDS)

    def _tell(self, found: dict[str, Any]) -> None:
        """Say how far it is, when that has changed."""
        status, done = found.get("status", {}), len(self._harvest.records)
        progress = (done, status.get("trialsRunning", 0), status.get("trialsPending", 0))
        if progress == self._progress:
            return
        self._progress = progress
        metric = self._loop.training.metric
        best = best_of(self._harvest.records, metric)
        _log.info(
            "experiment %s: %s of %s trials done, %s running, %s pending%s",
            self._full(found["metadata"]["name"]),
            done,
            self._tuning.trials,
            *progress[1:],
            f"; best {metric} {best.metrics[metric]:.5f} by {best.algorithm}" if best else "",
        )

    def _failure(self, found: dict[str, Any]) -> str:
        """Katib's own reason, that of its sampler, and the first trial's."""
        name = found["metadata"]["name"]
        parts = [f"experiment {self._full(name)} failed: {_message(found)}"]
        suggestion = self._api.suggestion(name)
        if suggestion is not None and condition(suggestion, "Failed"):
            parts.append(f"its sampler says: {_message(suggestion)}")
        failed = next((r for r in self._harvest.records if not r.complete), None)
        if failed is not None:
            parts.append(f"{failed.algorithm} with {failed.parameters}: {failed.error}")
        return "; ".join(parts)

    def _no_result(self, name: str, trials: Sequence[dict[str, Any]]) -> str:
        reasons = list(self._waiting)
        unheard = self._harvest.unheard(trials)
        if unheard:
            reasons.append(
                f"{', '.join(unheard)} ended, but Katib has no metrics of them; see the logs of "
                "their containers metrics-logger-and-collector"
            )
        return f"experiment {self._full(name)} has no result after twice the search's timeout: " + (
            "; ".join(reasons) or "see `kubectl describe` of it, its trials and their pods"
        )

    def _is_over(self) -> bool:
        """Has the search had its time, and something to show for it?"""
        return self._age() >= 1 and any(record.complete for record in self._harvest.records)

    def _age(self) -> float:
        """Time since the search began, in timeouts; a restart does not set it back."""
        if self._begun is None:
            return 0.0
        return (self._clock.now() - self._begun) / self._tuning.timeout

    def _look_at_pods(self) -> None:
        """Learn why pods of trials wait, which is logged when it is news, or failed."""
        if not self._may_see_pods:
            return
        try:
            pods = self._api.pods(f"{RUN_LABEL}={run_label(self._task.run_id)}")
        except ClusterError as exc:
            self._may_see_pods = exc.status != 403
            _log.warning("%s: why trials wait, or fail, can not be told", exc)
            return
        self._words |= last_words(pods)
        reasons = waiting(pods)
        if reasons and reasons != self._waiting:
            _log.warning("trials wait: %s", "; ".join(reasons))
        self._waiting = reasons

    def _full(self, name: str) -> str:
        return f"{self._api.namespace}/{name}"


def _message(thing: dict[str, Any]) -> str:
    return str((condition(thing, "Failed") or {}).get("message", ""))
