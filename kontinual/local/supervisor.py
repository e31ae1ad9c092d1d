"""supervisord below one folder: started, asked, changed and ended.

The folder holds all its state: `programs/<name>.conf` for each program,
`supervisord.conf` composed of them, `logs/<name>.log`, the pid file and the
socket. So another process, or this one after a crash, can take over.
"""

import os
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock
from pydantic import BaseModel
from supervisor.xmlrpc import SupervisorTransport

from kontinual.errors import ServiceError
from kontinual.local.processes import MARK, end, marked, wait_gone
from kontinual.local.programs import Program, render_program, render_supervisord, write_private
from kontinual.local.readiness import last_lines

__all__ = ["ProcessState", "Supervisor"]

# A socket's path is limited to 107 bytes on Linux, 103 on macOS; supervisord
# first binds a name with its pid appended.
MAX_SOCKET_BYTES = 90
START_SECONDS = 20
STOP_SECONDS = 120
STRAY_SECONDS = 20

# Programs that start processes of their own (runs). They are ended before
# their runs, and the runs before everything that a run needs.
LAUNCHERS = ("trigger",)


class ProcessState(BaseModel):
    """A program as supervisord sees it."""

    name: str
    state: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL
    pid: int | None
    uptime_seconds: float
    log: Path
    spawn_error: str = ""

    @property
    def is_up(self) -> bool:
        return self.state in {"STARTING", "RUNNING"}

    @property
    def is_given_up(self) -> bool:
        return self.state in {"FATAL", "EXITED", "STOPPED"}


class Supervisor:
    """Keeps programs running. Every method may be called at any time, by any process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if "%" in str(self.folder):
            raise ServiceError(
                f"supervisord can not log below a folder with % in its path: {self.folder};"
                " set KONTINUAL_HOME to another folder"
            )
        self.logs = self.folder / "logs"
        self._programs = self.folder / "programs"
        self._config = self.folder / "supervisord.conf"
        self._pidfile = self.folder / "supervisord.pid"
        self._child: subprocess.Popen[bytes] | None = None
        # Who starts or ends supervisord holds the first; who changes programs, the second alone.
        self._life = FileLock(self.folder / "life.lock")
        self._lock = FileLock(self.folder / "supervisor.lock")

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def is_running(self) -> bool:
        """Does supervisord answer?"""
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statename"] == "RUNNING")
        except ServiceError:
            return False

    def start(self) -> None:
        """Start supervisord with all its programs; nothing when it runs already.

        Raises:
            ServiceError: it did not come up.
        """
        with self._life:
            if self.is_running():
                return
            self._reap()
            self._end_strays()
            with self._lock:
                self._write_config()
                self._spawn()
                self._wait_until_it_answers()

    def put(self, *programs: Program) -> None:
        """Run these programs; one that runs already is restarted only if it changed."""
        with self._lock:
            for program in programs:
                text = render_program(program, log=self.log_of(program.name))
                write_private(self._programs / f"{program.name}.conf", text)
            self._apply()

    def remove(self, name: str) -> None:
        """End a program and forget it; nothing when there is none."""
        with self._lock:
            (self._programs / f"{name}.conf").unlink(missing_ok=True)
            self._apply()

    def names(self) -> list[str]:
        """The programs it shall run."""
        return sorted(path.stem for path in self._programs.glob("*.conf"))

    def states(self) -> dict[str, ProcessState]:
        """Each program's state; empty when supervisord does not run."""
        try:
            with self._rpc() as rpc:
                return {info["name"]: _state(info) for info in rpc.getAllProcessInfo()}
        except ServiceError:
            return {}

    def failure_of(self, name: str) -> Callable[[], str | None]:
        """A question that answers why a program will not come up, or None while it may."""

        def failure() -> str | None:
            state = self.states().get(name)
            if state is None:
                return "supervisord does not run it"
            if state.is_given_up:
                return f"{state.state.lower()} {state.spawn_error}".strip()
            return None

        return failure

    def revive(self) -> None:
        """Start again what was given up."""
        with self._rpc() as rpc:
            for state in self.states().values():
                if state.is_given_up:
                    rpc.startProcess(state.name, False)

    def shutdown(self) -> None:
        """End launchers, then their runs, then all other programs and supervisord itself.

        Returns when nothing is left. Orphans of a supervisord that died before are ended too.
        A run that is asked to end may remove programs: a rollout retires its canary.
        """
        with self._life:
            running = self._process()
            if running is not None and self.is_running():
                self._stop_launchers()
                self._end_strays(but=running)
                with self._lock, self._rpc() as rpc:
                    rpc.shutdown()
            if running is not None:
                _wait(running)
            self._reap()
            self._end_strays()
            self._forget_socket()

    def _spawn(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / "supervisord.out").open("ab") as out:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "kontinual.local.daemon", "-n", "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, MARK: str(self.folder)},
                start_new_session=True,
            )

    def _reap(self) -> None:
        """Take leave of an own supervisord that does not answer any more."""
        if self._child is not None:
            if self._child.poll() is None:
                _wait(psutil.Process(self._child.pid))
            self._child.wait()
            self._child = None

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running():
            ended = self._child is not None and self._child.poll() is not None
            if ended or time.monotonic() > deadline:
                raise ServiceError(
                    f"supervisord did not come up{last_lines(self.logs / 'supervisord.out')}"
                )
            time.sleep(0.05)

    def _apply(self) -> None:
        """Bring the configuration into force, if supervisord runs."""
        self._write_config()
        if not self.is_running():
            return
        with self._rpc() as rpc:
            ((added, changed, removed),) = rpc.reloadConfig()
            for name in [*removed, *changed]:
                rpc.stopProcessGroup(name)
                rpc.removeProcessGroup(name)
            for name in [*added, *changed]:
                rpc.addProcessGroup(name)

    def _write_config(self) -> None:
        self._programs.mkdir(parents=True, exist_ok=True)
        head = render_supervisord(socket=self._socket(), pidfile=self._pidfile, logs=self.logs)
        sections = [p.read_text(encoding="utf-8") for p in sorted(self._programs.glob("*.conf"))]
        write_private(self._config, "\n".join([head, *sections]))

    def _stop_launchers(self) -> None:
        states = self.states()
        with self._rpc() as rpc:
            for name in LAUNCHERS:
                if name in states and states[name].is_up:
                    rpc.stopProcess(name)

    def _end_strays(self, *, but: psutil.Process | None = None) -> None:
        """End the stack's processes that are neither supervisord nor its programs."""
        keep = {but.pid, *(p.pid for p in but.children(recursive=True))} if but else set()
        if strays := marked(self.folder, but=keep):
            end(strays, seconds=STRAY_SECONDS)

    def _process(self) -> psutil.Process | None:
        """The supervisord of the pid file, if it lives and is ours."""
        try:
            process = psutil.Process(int(self._pidfile.read_text(encoding="ascii")))
            ours = process.environ().get(MARK) == str(self.folder)
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours else None

    def _socket(self) -> Path:
        """The socket, in a short temporary folder when this folder's path is too long."""
        own = self.folder / "supervisor.sock"
        if len(os.fsencode(own)) <= MAX_SOCKET_BYTES:
            return own
        record = self.folder / "socket-folder"
        if record.is_file() and Path(record.read_text(encoding="utf-8")).is_dir():
            return Path(record.read_text(encoding="utf-8")) / "supervisor.sock"
        short = Path(tempfile.mkdtemp(prefix="kontinual-"))
        write_private(record, str(short))
        return short / "supervisor.sock"

    def _forget_socket(self) -> None:
        socket, record = self._socket(), self.folder / "socket-folder"
        socket.unlink(missing_ok=True)
        if socket.parent != self.folder:
            socket.parent.rmdir()
            record.unlink()

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        if not self._config.is_file():  # asking makes nothing, not even a socket's folder
            raise ServiceError(f"supervisord below {self.folder} was never started")
        transport = SupervisorTransport(None, None, f"unix://{self._socket()}")
        try:
            # The host is a placeholder: the transport talks to the socket.
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                yield proxy.supervisor
        except xmlrpc.client.Fault as exc:
            raise ServiceError(f"supervisord refused: {exc.faultString}") from exc
        except (OSError, xmlrpc.client.Error) as exc:
            raise ServiceError(f"supervisord below {self.folder} does not answer: {exc}") from exc


def _state(info: dict[str, Any]) -> ProcessState:
    return ProcessState(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"] or None,
        uptime_seconds=max(0, info["now"] - info["start"]) if info["pid"] else 0,
        log=Path(info["stdout_logfile"]),
        spawn_error=info["spawnerr"],
    )


def _wait(process: psutil.Process) -> None:
    """Wait for the end of a process that is perhaps no child; end it if it takes too long."""
    if not wait_gone([process], seconds=STOP_SECONDS):
        end([process], seconds=STRAY_SECONDS)
