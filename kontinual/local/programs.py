"""What supervisord shall run, written as its configuration files."""

import os
import shlex
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from kontinual.errors import ServiceError

__all__ = ["Program", "render_program", "render_supervisord", "write_private"]


class Program(BaseModel):
    """One process that is kept running."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    command: list[str] = Field(min_length=1)
    environment: dict[str, str] = {}
    directory: Path
    priority: int = Field(default=500, description="lower starts earlier and stops later")
    stop_seconds: int = Field(default=15, description="from SIGTERM to SIGKILL")


def render_program(program: Program, *, log: Path) -> str:
    """The section of one program.

    A program that dies within 3 seconds, four times in a row, is given up
    (FATAL); one that dies later is started again.

    Raises:
        ServiceError: a value can not be said in supervisord's format.
    """
    environment = ",".join(f"{k}={_quoted(v)}" for k, v in sorted(program.environment.items()))
    options = {
        "command": shlex.join(program.command),
        "directory": str(program.directory),
        "environment": environment,
        "priority": str(program.priority),
        "umask": "077",  # what it writes is this user's alone, wherever that may be
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "3",
        "startretries": "3",
        "stopsignal": "TERM",
        "stopwaitsecs": str(program.stop_seconds),
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(log),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "2",
    }
    return _section(f"program:{program.name}", options)


def render_supervisord(*, socket: Path, pidfile: Path, logs: Path) -> str:
    """The configuration of supervisord itself. It talks through a private socket only."""
    return "\n".join(
        [
            _section("unix_http_server", {"file": str(socket), "chmod": "0600"}),
            _section(
                "supervisord",
                {
                    "nodaemon": "true",
                    "silent": "true",
                    "logfile": str(logs / "supervisord.log"),
                    "logfile_maxbytes": "10MB",
                    "logfile_backups": "2",
                    "childlogdir": str(logs),
                    "pidfile": str(pidfile),
                },
            ),
            _section(
                "rpcinterface:supervisor",
                {
                    "supervisor.rpcinterface_factory": (
                        "supervisor.rpcinterface:make_main_rpcinterface"
                    )
                },
            ),
        ]
    )


def write_private(path: Path, text: str) -> bool:
    """Replace a file at once, readable by its owner alone; say whether it changed."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
    return True


def _section(name: str, options: dict[str, str]) -> str:
    lines = [f"{key} = {_ini(key, value)}" for key, value in options.items() if value]
    return "\n".join([f"[{name}]", *lines, ""])


def _ini(key: str, value: str) -> str:
    """A value as supervisord reads it: `%` doubled. Comments and newlines have no escape."""
    if any(mark in value for mark in (" ;", " #", "\n", "\r")):
        raise ServiceError(
            f"supervisord can not be told {key} = {value!r}: a path or setting of the stack must"
            " not hold a newline, nor a blank before ; or #"
        )
    return value.replace("%", "%%")


def _quoted(value: str) -> str:
    """A value in quotes; supervisord strips every quote from both ends of what it reads."""
    for quote in ('"', "'"):
        if quote not in value and value.strip("'\"") == value:
            return f"{quote}{value}{quote}"
    raise ServiceError(
        "supervisord can not be told a value with both kinds of quotes, or with one at an end:"
        f" {value!r}"
    )
