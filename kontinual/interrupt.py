"""SIGTERM as an exception, so that what was begun can be taken back before the process goes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "sigterm_interrupts"]


class Interrupted(BaseException):
    """The process was asked to end. Like KeyboardInterrupt, no `except Exception` stops it."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise Interrupted at the first SIGTERM; a second one finds the retreat under way.

    Only a main thread can do so; in any other SIGTERM does what it did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Interrupted("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
