"""The finished Trials of a search, each taken once, numbered and kept."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.tuning.katib.job import Task
from kontinual.tuning.katib.status import finished, record_of
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.tune import Progress, TrialStore

__all__ = ["Harvest", "NamedTrialStore"]

_log = logging.getLogger(__name__)


class NamedTrialStore(TrialStore, Protocol):
    """What a search whose trials log themselves asks of tracking."""

    def open_run(self, run_id: str) -> None:
        """Make the run known before its trials look for it."""
        ...

    def log_trial(self, run_id: str, trial: TrialRecord, *, name: str | None = None) -> None:
        """Keep a trial, in place of what was kept under the same name."""
        ...

    def named_trials(self, run_id: str) -> dict[str, TrialRecord]:
        """The trials of a run that were kept under a name."""
        ...


class Harvest:
    """Collects records; a trial's number is its place among those that ended.

    Args:
        loop: space and metric.
        task: what the trials are about.
        tracker: that trials log themselves to; what they could not say is added.
        progress: told after each trial.
    """

    def __init__(
        self, loop: Loop, task: Task, tracker: NamedTrialStore, progress: Progress | None
    ) -> None:
        self.records: list[TrialRecord] = []
        self._taken: set[str] = set()
        self._space = Space.of(loop)
        self._training = loop.training
        self._task = task
        self._tracker = tracker
        self._progress = progress

    def take(self, trials: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> None:
        """Take those that ended since the last time.

        Args:
            trials: of an Experiment, as they are now.
            words: why pods of trials failed, by the trial's name, as far as it is known.

        Raises:
            TrainingError: a trial's assignments are none of the loop's space.
            TrackingError: a trial could not be kept.
        """
        new = [t for t in finished(trials) if t["metadata"]["name"] not in self._taken]
        logged = self._tracker.named_trials(self._task.run_id) if new else {}
        for trial in new:
            name = trial["metadata"]["name"]
            record = record_of(
                trial,
                self._space,
                number=len(self.records),
                seed=self._task.seed,
                metric=self._training.metric,
                own=logged.get(name),
                words=words.get(name),
            )
            if record != logged.get(name):
                self._tracker.log_trial(self._task.run_id, record, name=name)
            self._taken.add(name)
            self.records.append(record)
            if record.error:
                _log.warning("trial %s: %s", name, record.error)
            if self._progress:
                self._progress(len(self.records), self._training.tuning.trials, record)

    def unheard(self, trials: Sequence[Mapping[str, Any]]) -> list[str]:
        """Trials that say they are done while Katib waits for them still."""
        names = {str(t["metadata"]["name"]) for t in trials} - self._taken
        return sorted(names & self._tracker.named_trials(self._task.run_id).keys())

    def points(self) -> list[Suggestion]:
        """What was tried so far."""
        return [Suggestion(algorithm=r.algorithm, parameters=r.parameters) for r in self.records]
