"""Interpreters that have imported what a task needs before the task starts.

Most of a short task is its imports: TFDV's take eight seconds, those of MLflow
and scikit-learn five. A `WarmPython` does them once, beside whatever runs
meanwhile; each task is then forked from it. To kfp it looks like an interpreter:
same arguments, environment, folder, streams and exit code (see `client`).
"""

import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["WarmPython"]

_HERE = Path(__file__).parent
_BACKLOG = 16


class WarmPython:
    """A process that imports modules and forks a task for each command line; a context manager.

    Leaving the context ends it, and so does the death of its owner. Should it die before, its
    tasks start in a cold interpreter: that costs time, never a run.

    Attributes:
        command: to be put in place of `python3` in a shell's command line. Until `start` it
            is the cold interpreter.
        pid: of the process, 0 until `start`.

    Args:
        python: the interpreter to warm.
        modules: imported in this order. None of them may start a thread of Python.
    """

    def __init__(self, python: str, modules: Sequence[str]) -> None:
        self.command = shlex.quote(python)
        self.pid = 0
        self._python = python
        self._modules = modules
        self._folder = tempfile.TemporaryDirectory(prefix="kontinual-warm-")
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to import; a second call does nothing."""
        if self._server is not None:
            return
        address = str(Path(self._folder.name) / "socket")  # short: its path has 107 bytes at most
        # Bound here, so that whoever connects while the imports go on waits for them.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(_BACKLOG)
            self._server = subprocess.Popen(
                [self._python, str(_HERE / "server.py"), str(listener.fileno()), *self._modules],
                stdin=subprocess.PIPE,  # its end is the sign that the owner is gone
                pass_fds=[listener.fileno()],
            )
        self.pid = self._server.pid
        client = [sys.executable, "-I", "-S", str(_HERE / "client.py"), address, self._python]
        self.command = shlex.join(client)

    def __enter__(self) -> "WarmPython":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.kill()  # it holds nothing; a task that was forked from it goes on
            self._server.communicate()
        self._folder.cleanup()
