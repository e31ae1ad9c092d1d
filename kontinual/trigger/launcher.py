"""Starting runs and following them, where they run."""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

from kontinual.errors import ServiceError
from kontinual.scratch import clear_scratch
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import claim
from kontinual.trigger.contracts import Run, RunKind
from kontinual.trigger.ledger import Clock, utc_now
from kontinual.trigger.retreat import NoRetreat, Retreat

__all__ = ["Launcher", "LauncherByKind", "LocalLauncher", "RecordSource"]

log = logging.getLogger(__name__)
START_SECONDS = 15.0
POLL_SECONDS = 0.02
KILL_SECONDS = 120.0  # a rollout that is asked to end puts the champion back first
LAST_LINES = 5
RecordSource = Callable[[str], RunRecord | None]


class Launcher(Protocol):
    """Where a pipeline runs. Implementations are idempotent by run id.

    An error that may pass (ServiceError, LakeError, ...) is raised; the caller asks again.
    A call takes 20 s at most, less than the caller's lease.
    """

    def launch(self, run: Run) -> dict[str, Any]:
        """Start the run unless it was started before; returns where it runs.

        Facts as JSON values; `url` is a link for people.
        """
        ...

    def outcome(self, run: Run) -> RunRecord | None:
        """The record of a run that has ended; None while it goes on.

        One that died, was cancelled, or never was has the outcome `failed`.
        """
        ...

    def stop(self, run: Run) -> None:
        """Ask a run to end; asked again until `outcome` tells that it has."""
        ...


class LauncherByKind:
    """A Launcher that leaves each kind of run to another."""

    def __init__(self, launchers: Mapping[RunKind, Launcher]) -> None:
        self._launchers = launchers

    def launch(self, run: Run) -> dict[str, Any]:
        return self._launchers[run.wish.kind].launch(run)

    def outcome(self, run: Run) -> RunRecord | None:
        return self._launchers[run.wish.kind].outcome(run)

    def stop(self, run: Run) -> None:
        self._launchers[run.wish.kind].stop(run)


class LocalLauncher:
    """Runs as processes of this machine, which outlive the service that starts them.

    Each run has the folder `<log_dir>/<run id>` with `run.log`, `process.json`
    and the lock that its process holds (see `kontinual.trigger.claim`).
    """

    def __init__(
        self,
        command: Sequence[str],
        log_dir: Path,
        *,
        loop: Loop,
        records: RecordSource,
        clock: Clock = utc_now,
        retreat: Retreat | None = None,
    ) -> None:
        """Set up a launcher; nothing is started.

        Args:
            command: the pipeline's, to which `--run-id ID --trigger TRIGGER` is added, and
                `--seed` or `--version` where the trigger wishes one.
            log_dir: folder of the runs' folders.
            loop: whose runs these are.
            records: the record that a run left in the lake's journal, by run id.
            clock: tells the time, in UTC.
            retreat: puts the champion back where a run that was killed left its rollout unfinished.
        """
        self._command = list(command)
        self._log_dir = log_dir
        self._loop = loop
        self._records = records
        self._clock = clock
        self._retreat = retreat or NoRetreat()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        # Of each run the processes that were asked to end, and when by the monotonic clock.
        self._asked: dict[str, dict[psutil.Process, float]] = {}

    def launch(self, run: Run) -> dict[str, Any]:
        folder = self._log_dir / run.id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / claim.PROCESS).exists():
                self._start(folder, run)
            return {"folder": str(folder), **_process(folder)}
        except OSError as exc:
            raise ServiceError(f"run {run.id} could not be started in {folder}: {exc}") from exc

    def outcome(self, run: Run) -> RunRecord | None:
        folder = self._log_dir / run.id
        if _is_running(folder):
            return None
        if left := _session(folder):
            # A step works on after its run: the next run must not begin beside it.
            self._end(run.id, left)
            return None
        record = self._records(run.id) or self._failed(run, folder, self._exit_code(run.id, folder))
        if record.outcome is Outcome.FAILED and not self._retreat.is_over(run):
            return None
        clear_scratch(folder)
        self._forget(run.id)
        return record

    def _forget(self, run_id: str) -> None:
        """Keep nothing of a run that has ended, not even a process that nobody waits for."""
        self._asked.pop(run_id, None)
        if (child := self._children.pop(run_id, None)) is not None:
            child.wait(timeout=START_SECONDS)

    def stop(self, run: Run) -> None:
        """Ask the run and all its steps to end; `KILL_SECONDS` after it asked them it ends them.

        A rollout that is asked puts the champion back before it ends.
        """
        self._end(run.id, _session(self._log_dir / run.id))

    def _end(self, run_id: str, processes: Sequence[psutil.Process]) -> None:
        asked, now = self._asked.setdefault(run_id, {}), time.monotonic()
        for process in processes:
            is_late = now - asked.get(process, now) > KILL_SECONDS
            if process not in asked or is_late:
                asked.setdefault(process, now)
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL if is_late else signal.SIGTERM)

    def _exit_code(self, run_id: str, folder: Path) -> int | None:
        """The ended run's exit code, if it was started from here."""
        child = self._children.get(run_id)
        # A child that came second to claim the run says nothing about the run.
        if child is None or child.pid != (_process_or_none(folder) or {}).get("pid"):
            return None
        return child.wait(timeout=START_SECONDS)

    def _start(self, folder: Path, run: Run) -> None:
        command = [*self._command, "--run-id", run.id, "--trigger", str(run.trigger)]
        command += ["--seed", str(run.wish.seed)] if run.wish.seed else []
        command += ["--version", run.wish.version] if run.wish.version else []
        script = [sys.executable, "-I", str(Path(claim.__file__)), str(folder), *command]
        with (folder / claim.LOG).open("ab") as output:
            child = subprocess.Popen(
                script,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[run.id] = child
        _wait_for(folder / claim.PROCESS, child, run.id)

    def _failed(self, run: Run, folder: Path, code: int | None) -> RunRecord:
        """The record of a run that left none: it died, was killed, or never was."""
        last = " | ".join(_last_lines(folder / claim.LOG)) or "the log is empty"
        how = "" if code is None else f" with {_exit_text(code)}"
        return RunRecord(
            id=run.id,
            loop=self._loop.name,
            trigger=str(run.trigger),
            outcome=Outcome.FAILED,
            reason=f"the run ended{how} without a record; its last lines: {last}",
            started_at=run.launched_at or run.accepted_at,
            ended_at=self._clock(),
        )


def _is_running(folder: Path) -> bool:
    """Is the run's own process alive? A child it left behind may still hold the lock."""
    return _is_locked(folder) and _is_alive(_process_or_none(folder))


def _session(folder: Path) -> list[psutil.Process]:
    """The processes that live of a run: its own, and its steps, all in the session it leads."""
    note = _process_or_none(folder)
    if note is None or _has_passed_on(note):
        return []
    found = []
    for process in _living():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == note["pid"] and _is_younger(process.pid, note):
                found.append(process)
    return found


def _has_passed_on(note: dict[str, Any]) -> bool:
    """Is the run's number another process' now? No number is used again while its session lives."""
    birth = claim.birth_of(note["pid"])
    return birth is not None and birth != note.get("birth", birth)


def _is_younger(pid: int, note: dict[str, Any]) -> bool:
    """Did a process begin after the run, since the same boot; or can it not be known here?"""
    birth, run = claim.birth_of(pid), note.get("birth")
    if run is None:
        return True
    return birth is not None and birth[0] == run[0] and birth[1] >= run[1]


def _living() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _is_alive(note: dict[str, Any] | None) -> bool:
    if note is None:
        return True  # the lock is held and the note is about to be written
    try:
        is_zombie = psutil.Process(note["pid"]).status() == psutil.STATUS_ZOMBIE
        return not is_zombie and not _has_passed_on(note)
    except psutil.NoSuchProcess:
        return False


def _is_locked(folder: Path) -> bool:
    """Does a living process hold the folder's lock?"""
    try:
        descriptor = os.open(folder / claim.LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _wait_for(note: Path, child: subprocess.Popen[bytes], run_id: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not note.exists():
        code = child.poll()
        if code is not None and code != claim.TAKEN and not note.exists():
            raise ServiceError(f"run {run_id} did not start: exit code {code}, see its run.log")
        if time.monotonic() > deadline:
            raise ServiceError(f"run {run_id} did not start within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _process(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / claim.PROCESS).read_text(encoding="utf-8"))
    return found


def _process_or_none(folder: Path) -> dict[str, Any] | None:
    try:
        return _process(folder)
    except FileNotFoundError:
        return None


def _last_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-LAST_LINES:]


def _exit_text(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
