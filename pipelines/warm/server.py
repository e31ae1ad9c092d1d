"""Imports modules, then forks a process for every command line that a client sends.

    python server.py LISTENER MODULE...

LISTENER is the descriptor of a listening Unix socket. Ends when its standard
input does. The standard library alone: it runs in the interpreter of every environment.
"""

import atexit
import contextlib
import gc
import importlib
import json
import logging
import multiprocessing
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

_CHUNK = 65_536
_fork = multiprocessing.get_context("fork")


@dataclass
class Request:
    """A command line as a client has it: `-m MODULE ARGUMENTS`, where, and its three streams."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]


@dataclass
class Task:
    """A forked process, and the client that waits for it unless that was killed."""

    process: BaseProcess
    client: socket.socket | None


class Server:
    """Accepts clients and forks for each."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._ready = selectors.PollSelector()

    def serve(self) -> None:
        """Until standard input ends. Tasks that are at work then go on."""
        self._ready.register(0, selectors.EVENT_READ)
        self._watch(self._listener, self._accept)
        while True:
            for key, _ in self._ready.select():
                if key.fd == 0:
                    return
                # What came before it in this round may have settled it.
                if self._ready.get_map().get(key.fd) is key:
                    key.data()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        request = _read(client)
        if request is None:
            client.close()
            return
        process = _fork.Process(target=self._become, args=(request,))
        process.start()
        for stream in request.streams:
            os.close(stream)
        task = Task(process, client)
        self._watch(client, lambda: self._abandon(task))
        self._watch(process.sentinel, lambda: self._finish(task))

    def _become(self, request: Request) -> None:
        """In the forked process: let go of what belongs to the server."""
        for key in self._ready.get_map().values():
            if key.fd != 0:
                os.close(key.fd)
        run(request)

    def _abandon(self, task: Task) -> None:
        """A client says nothing after its request, so it was killed: its task goes with it."""
        self._let_go(task)
        task.process.terminate()

    def _finish(self, task: Task) -> None:
        self._ready.unregister(task.process.sentinel)
        task.process.join()
        if task.client is not None:
            with contextlib.suppress(OSError):  # killed just now
                task.client.sendall(str(task.process.exitcode).encode())
            self._let_go(task)
        task.process.close()

    def _let_go(self, task: Task) -> None:
        if task.client is not None:
            self._ready.unregister(task.client)
            task.client.close()
            task.client = None

    def _watch(self, what: socket.socket | int, call: Callable[[], None]) -> None:
        self._ready.register(what, selectors.EVENT_READ, call)


def preload(modules: list[str]) -> None:
    """Import what can be imported, in silence: what is amiss is said by the task that needs it."""
    with _silence():
        for module in modules:
            # The import of a library may raise anything.
            with contextlib.suppress(Exception):
                importlib.import_module(module)
    logging.root.handlers.clear()  # a library that warned left one, and a task sets up its own
    gc.collect()
    gc.freeze()  # shared with every fork: a collection there need not touch it


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing reaches the streams, from C++ neither."""
    streams = [1, 2]
    kept = [os.dup(stream) for stream in streams]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)
    try:
        yield
    finally:
        for stream, copy in zip(streams, kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)


def run(request: Request) -> None:
    """Do as `python -m` would with the command line."""
    for target, stream in enumerate(request.streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    tempfile.tempdir = None  # an import may have asked for it, under the server's environment
    sys.path[0] = request.folder
    flag, module, *rest = request.arguments
    if flag != "-m":
        raise SystemExit(f"a warm interpreter runs `-m MODULE`, but got {flag!r}")
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        # A forked process ends without them before Python 3.14. It also ends without taking
        # apart what it imported, which would take a second.
        atexit._run_exitfuncs()


def _read(client: socket.socket) -> Request | None:
    """A client's request; None when the client was gone before it was whole."""
    line, streams, _, _ = socket.recv_fds(client, _CHUNK, 3)
    while not line.endswith(b"\n"):
        more = client.recv(_CHUNK)
        if not more:
            for stream in streams:
                os.close(stream)
            return None
        line += more
    content: dict[str, Any] = json.loads(line)
    return Request(**content, streams=streams)


def main() -> None:
    """Run from the command line."""
    # Ctrl-C goes to the whole group; the end of standard input is what ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[0] = os.getcwd()  # not this folder, whose files are no modules of anyone
    preload(sys.argv[2:])
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
