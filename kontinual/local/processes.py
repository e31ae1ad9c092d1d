"""Finding and ending the processes of a stack, also those that nobody keeps any more."""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil

__all__ = ["MARK", "end", "marked"]

# In the environment of everything that a stack starts, so that no process is
# lost from sight: not a run that detached itself, not the orphan of a killed
# supervisord.
MARK = "KONTINUAL_STACK"


def marked(folder: Path, *, but: Collection[int] = ()) -> list[psutil.Process]:
    """The living processes of the stack in this folder, without this one and its ancestors."""
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents()), *but}
    return [p for p in psutil.process_iter() if p.pid not in own and _mark(p) == str(folder)]


def end(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    """End processes: the topmost by SIGTERM, then what is left of all, at last by SIGKILL.

    Args:
        processes: to end.
        seconds: how long each of the two requests may take.
    """
    every = list(processes)
    pids = {p.pid for p in every}
    _terminate(p for p in every if _parent(p) not in pids)
    _, rest = psutil.wait_procs(every, timeout=seconds)
    if rest:
        _terminate(rest)
        _, rest = psutil.wait_procs(rest, timeout=seconds / 2)
    for process in rest:
        _quietly(process.kill)
    psutil.wait_procs(rest, timeout=5)


def _mark(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
    return mark


def _parent(process: psutil.Process) -> int | None:
    try:
        parent: int = process.ppid()
    except psutil.Error:
        return None
    return parent


def _terminate(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        _quietly(process.terminate)


def _quietly(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
