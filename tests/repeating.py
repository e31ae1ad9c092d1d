"""Something done again and again beside a test, as long as a block lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeating"]


@contextmanager
def repeating(
    act: Callable[[], object], *, pause: float, name: str | None = None
) -> Iterator[threading.Event]:
    """Call `act` in a thread, after each pause; an error ends that, and is raised with the block.

    Args:
        act: what is done.
        pause: seconds before each call.
        name: of the thread.

    Yields:
        The event that is set at the block's end, for an act that takes long.
    """
    over = threading.Event()
    broken: list[Exception] = []

    def work() -> None:
        try:
            while not over.wait(pause):
                act()
        except Exception as exc:
            broken.append(exc)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join()
    if broken:
        raise broken[0]
