"""Taking back what a run's rollout began, where it could not do so itself: it was killed."""

import logging
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from kontinual.errors import ServiceError
from kontinual.trigger.contracts import Run

__all__ = ["BegunRetreat", "NoRetreat", "ProcessRetreat", "Retreat"]

log = logging.getLogger(__name__)
LONGEST_SECONDS = 600.0  # of one try: a rollout that is at work is waited for, then undone
PAUSE_SECONDS = 10.0  # from a try that failed to the next


class Retreat(Protocol):
    """Sees to it that a run leaves no canary with traffic that nobody watches."""

    def is_over(self, run: Run) -> bool:
        """Is nothing left of the run's rollout? Asked again and again, it is seen to meanwhile.

        Raises:
            ServiceError: the last try failed; there will be another.
        """
        ...


class NoRetreat:
    """Where a rollout itself is asked to end."""

    def is_over(self, run: Run) -> bool:  # noqa: ARG002
        return True


class BegunRetreat:
    """Leaves alone the runs that never came to their rollout."""

    def __init__(self, retreat: Retreat, has_begun: Callable[[str], bool]) -> None:
        """Set up; nothing is done.

        Args:
            retreat: of those that did.
            has_begun: did the rollout of this run ever begin?
        """
        self._retreat, self._has_begun = retreat, has_begun

    def is_over(self, run: Run) -> bool:
        return not self._has_begun(run.id) or self._retreat.is_over(run)


@dataclass
class _Try:
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    began: float


class ProcessRetreat:
    """Each try is a process beside the service, which does not wait for it. One thread calls it.

    With the service it ends; the next one begins anew, which does no harm.
    """

    def __init__(
        self, command: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set up; nothing is started.

        Args:
            command: to which `--run-id ID` is added, and `--by WHO` where someone asked the
                run to end. Its exit code is 0 when nothing is left of the run's rollout.
            clock: tells seconds.
        """
        self._command, self._clock = list(command), clock
        self._tries: dict[str, _Try] = {}
        self._failed: dict[str, float] = {}

    def is_over(self, run: Run) -> bool:
        attempt = self._tries.get(run.id) or self._begin(run)
        if attempt is None:
            return False
        code = attempt.process.poll()
        if code is None and self._clock() - attempt.began <= LONGEST_SECONDS:
            return False
        del self._tries[run.id]
        with attempt.output:
            return self._is_good(run, attempt, code)

    def _begin(self, run: Run) -> _Try | None:
        """A new try; None while the last failure is too recent."""
        failed = self._failed.get(run.id)
        if failed is not None and self._clock() - failed < PAUSE_SECONDS:
            return None
        command = [*self._command, "--run-id", run.id]
        command += ["--by", run.stop.by] if run.stop else []
        output = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process lives
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as exc:
            output.close()
            raise ServiceError(f"the rollout of run {run.id} can not be seen to: {exc}") from exc
        self._tries[run.id] = _Try(process, output, self._clock())
        return self._tries[run.id]

    def _is_good(self, run: Run, attempt: _Try, code: int | None) -> bool:
        if code is None:
            attempt.process.kill()
            attempt.process.wait()
        said = _last_line(attempt.output)
        if code == 0:
            log.info("nothing is left of its rollout: %s", said, extra={"run": run.id})
            self._failed.pop(run.id, None)
            return True
        self._failed[run.id] = self._clock()
        how = "did not end" if code is None else f"ended with exit code {code}"
        raise ServiceError(f"taking back the rollout of run {run.id} {how}: {said}")


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
