"""Ports: which are free, and who holds those that are not."""

import socket
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from urllib.parse import urlsplit

import psutil

from kontinual.errors import ServiceError

__all__ = [
    "address_of",
    "first_free_port",
    "free_port",
    "free_ports",
    "holder_of",
    "is_free",
    "require_free",
]


def address_of(url: str, *, setting: str) -> tuple[str, int]:
    """Host and port of a service's URL.

    Raises:
        ServiceError: the URL names no port to listen on.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ServiceError(
            f"{setting} must be a URL with host and port, like http://127.0.0.1:18080,"
            f" but got {url!r}"
        )
    return host, port


def is_free(host: str, port: int) -> bool:
    """Could a service listen here now? Connections that linger after a close do not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Some port that is free now, as the system chooses."""
    return free_ports(1, host=host)[0]


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """Different ports that are free now, as the system chooses."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


def first_free_port(host: str, candidates: Iterable[int], *, taken: Collection[int] = ()) -> int:
    """The first candidate that is free and not promised to another, or any free port."""
    for port in candidates:
        if port not in taken and port < 65536 and is_free(host, port):
            return port
    return free_port(host)


def holder_of(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    try:
        pids = {
            c.pid
            for c in psutil.net_connections(kind="tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
        }
        names = [f"process {pid} ({psutil.Process(pid).name()})" for pid in sorted(pids)]
    except psutil.Error:
        names = []
    return " and ".join(names) or "another process"


def require_free(host: str, port: int, *, service: str, remedy: str) -> None:
    """Make sure that a service can have its port.

    Raises:
        ServiceError: it can not; says who has it, and the remedy.
    """
    if not is_free(host, port):
        raise ServiceError(
            f"{service} needs {host}:{port}, but {holder_of(port)} listens there; {remedy}"
        )
