"""Trials in processes of their own, so that one that dies takes no other with it."""

import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.tuning.space import Suggestion
from kontinual.tuning.split import Split
from kontinual.tuning.worker import Cost, Report, run_trial

__all__ = ["TrialRunner"]


@dataclass
class _Running:
    suggestion: Suggestion
    process: ForkServerProcess
    pipe: Connection
    started: float


class TrialRunner:
    """Runs batches of suggestions, each in a fresh process; a context manager.

    A process per trial makes its peak memory its own, and a crash, an endless
    fit or the system's out-of-memory killer cost that trial alone. They are
    forked from a server that has imported scikit-learn already.

    Args:
        loop: the declaration.
        split: rows to fit and to score on.
        seed: of every trial; the same for all, so that they differ by their parameters only.
        clock: seconds that never run backwards.
    """

    def __init__(
        self,
        loop: Loop,
        split: Split,
        *,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._seed = seed
        self._clock = clock
        self._number = 0
        self._running: list[_Running] = []
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["kontinual.tuning.worker"])
        self._temporary = tempfile.TemporaryDirectory(prefix="kontinual-tuning-")
        self._folder = Path(self._temporary.name)
        split.save(self._folder)

    def __enter__(self) -> "TrialRunner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for running in self._running:
            running.process.kill()
            running.process.join()
        self._temporary.cleanup()

    def run(self, batch: Sequence[Suggestion], *, until: float) -> list[TrialRecord]:
        """Run a batch at once.

        Args:
            batch: what to try.
            until: moment of the clock at which those still running are ended and count as failed.

        Returns:
            Their records, in the batch's order.
        """
        self._running = [self._start(suggestion) for suggestion in batch]
        records = [self._finish(running, until) for running in self._running]
        self._running = []
        return records

    def _start(self, suggestion: Suggestion) -> _Running:
        mine, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=run_trial,
            args=(theirs, self._loop, self._folder, suggestion, self._seed),
            name=f"kontinual-trial-{suggestion.algorithm}",
        )
        process.start()
        theirs.close()
        return _Running(suggestion, process, mine, self._clock())

    def _finish(self, running: _Running, until: float) -> TrialRecord:
        report = self._report(running, until)
        running.pipe.close()
        running.process.join()
        number, self._number = self._number, self._number + 1
        return TrialRecord(
            number=number,
            algorithm=running.suggestion.algorithm,
            parameters=running.suggestion.parameters,
            metrics=report.metrics,
            seed=self._seed,
            state="failed" if report.error else "complete",
            error=report.error,
            **report.cost.model_dump(),
        )

    def _report(self, running: _Running, until: float) -> Report:
        if not running.pipe.poll(max(0.0, until - self._clock())):
            running.process.kill()
            return self._lost(running, "it ran past twice the search's timeout and was ended")
        try:
            report = running.pipe.recv()
        except EOFError:
            running.process.join()
            return self._lost(running, _death(running.process.exitcode))
        assert isinstance(report, Report)  # noqa: S101  both ends are ours
        return report

    def _lost(self, running: _Running, error: str) -> Report:
        return Report(error=error, cost=Cost(seconds=self._clock() - running.started))


def _death(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"its process ended with exit code {exitcode} before it had a result"
    name = signal.Signals(-exitcode).name
    hint = "; the system may be out of memory" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"
