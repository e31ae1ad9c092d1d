"""The trigger service as a process that kills itself at a chosen point of its work.

Real but for the champion, what Prometheus says, and the records of runs. A point is a statement or
a commit of the database, before or after it, or a call of the launcher; it belongs to the stage of
work that it is part of. Processes are forked from one that has imported everything, so that
hundreds of them can be started; a SIGKILL takes one of them as it takes any process.
"""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from kontinual.settings import Settings
from kontinual.spec import Loop, RunRecord
from kontinual.trigger import Evidence, Ledger, LocalLauncher, Trigger
from kontinual.trigger.logs import log_as_json
from kontinual.trigger.server import serve

__all__ = ["STAGES", "TOKEN", "Fate", "Place", "start"]

TOKEN = "secret"
STAGES = ("accept", "decide", "launch", "follow")
METHODS = {"receive_all": "accept", "decide": "decide", "launched": "launch", "ended": "follow"}


@dataclass(frozen=True)
class Fate:
    """Where a process dies: at the so-many-th point of a stage."""

    stage: str
    points: int


@dataclass(frozen=True)
class Place:
    """Where a service lives; replicas differ in their port alone."""

    loop: Loop
    folder: Path
    ledger: str
    command: tuple[str, ...]


class Reaper:
    """Counts the points of a stage, and kills this process at the last one."""

    def __init__(self, fate: Fate | None, note: Path) -> None:
        self._fate, self._note = fate, note
        self._left = 0 if fate is None else fate.points
        self._stage = threading.local()
        self._lock = threading.Lock()

    def within(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, whose points belong to a stage."""

        @functools.wraps(work)
        def staged(*args: Any, **kwargs: Any) -> Any:
            self._stage.now = stage
            try:
                self.point("before")
                done = work(*args, **kwargs)
                self.point("after")
                return done
            finally:
                self._stage.now = None

        return staged

    def point(self, what: str) -> None:
        stage = getattr(self._stage, "now", None)
        if self._fate is None or stage != self._fate.stage:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._note.write_text(f"{stage}: {what}\n")
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def watch(self, launcher: LocalLauncher) -> None:
        """Make points of all that the service does."""
        for name, stage in METHODS.items():
            setattr(Ledger, name, self.within(stage, getattr(Ledger, name)))
        launcher.launch = self.within("launch", launcher.launch)  # type: ignore[method-assign]
        launcher.outcome = self.within("follow", launcher.outcome)  # type: ignore[method-assign]
        event.listen(
            Engine, "before_cursor_execute", lambda _c, _k, statement, *_: self.point(statement)
        )
        event.listen(Engine, "commit", lambda _: self.point("COMMIT"))
        event.listen(Pool, "checkin", lambda *_: self.point("committed"))


class AllRipe:
    """Prometheus, where everything speaks for a run."""

    def gather(self, triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        ripe = Evidence(condition="c", value=1.0, quality_decay=0.05, matured_rows=1e6)
        return {trigger.id: ripe for trigger in triggers}


class OneChampion:
    def champion(self) -> str:
        return "1"

    def former_champion(self) -> str:
        return "3"

    def champions(self) -> list[str]:
        return ["1", "3"]

    def champion_since(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def start(place: Place, port: int, fate: Fate | None, note: Path) -> BaseProcess:
    """Start a service; where it died by its fate is written to the note."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_live, args=(place, port, fate, note))
    process.start()
    return process


def _live(place: Place, port: int, fate: Fate | None, note: Path) -> None:
    log = os.open(place.folder / "service.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    log_as_json()

    def record(run_id: str) -> RunRecord | None:
        path = place.folder / f"{run_id}.json"
        return RunRecord.model_validate_json(path.read_bytes()) if path.exists() else None

    launcher = LocalLauncher(place.command, place.folder / "runs", loop=place.loop, records=record)
    Reaper(fate, note).watch(launcher)
    serve(
        place.loop,
        Settings(home=place.folder, token=SecretStr(TOKEN), ledger=place.ledger),
        host="127.0.0.1",
        port=port,
        launcher=launcher,
        champion=OneChampion(),
        evidence=AllRipe(),
    )
