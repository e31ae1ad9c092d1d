"""Finding and ending the processes of a stack, also those that nobody keeps any more."""

import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil

__all__ = ["MARK", "end", "is_alive", "marked", "wait_gone"]

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
    _signal(p for p in every if _parent(p) not in pids)
    if not wait_gone(every, seconds=seconds):
        _signal(every)
        wait_gone(every, seconds=seconds / 2)
    _signal((p for p in every if is_alive(p)), kill=True)
    wait_gone(every, seconds=5)


def is_alive(process: psutil.Process) -> bool:
    """Does it still run? A zombie, whose parent is slow to take notice, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Iterable[psutil.Process], *, seconds: float) -> bool:
    """Wait until none of these runs any more; say whether that came about in time."""
    left = list(processes)
    deadline = time.monotonic() + seconds
    while left := [p for p in left if is_alive(p)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


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


def _signal(processes: Iterable[psutil.Process], *, kill: bool = False) -> None:
    for process in processes:
        try:
            process.kill() if kill else process.terminate()
        except psutil.NoSuchProcess:
            continue
