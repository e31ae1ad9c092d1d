"""Runs that may be begun twice: one that ended without a record is begun again, once."""

from collections.abc import Sequence
from typing import Any

from kontinual.spec import RunRecord
from kontinual.trigger.contracts import Run
from kontinual.trigger.launcher import Launcher, RecordSource

__all__ = ["RepeatingLauncher"]


class RepeatingLauncher:
    """A Launcher of runs that do no harm when two processes work on them, such as rollbacks.

    It may be asked on another host than the one which started a run, where nothing is known of
    it. Whether its process lives there or died, the run is begun here as well; it waits for the
    first, or completes what that left.

    Args:
        attempts: the first, and the one that begins a run again; each has a place of its own.
        records: the record that a run left in the lake's journal, by run id.
    """

    def __init__(self, attempts: Sequence[Launcher], *, records: RecordSource) -> None:
        self._first, self._again = attempts
        self._records = records

    def launch(self, run: Run) -> dict[str, Any]:
        return self._first.launch(run)

    def outcome(self, run: Run) -> RunRecord | None:
        ended = self._first.outcome(run)
        if ended is None or self._records(run.id) is not None:
            return ended
        if run.stop is None:
            self._again.launch(run)
        return self._again.outcome(run)

    def stop(self, run: Run) -> None:
        self._first.stop(run)
        self._again.stop(run)
