"""Ends a stack when its owner is gone, however the owner went.

`python -m kontinual.local.leash FOLDER` reads its standard input, the other end
of which only the owner holds. A byte means that the owner has ended the stack
itself. The end of the input without one means that the owner died, by SIGKILL
even: then the leash ends the stack in its place.
"""

import subprocess
import sys
from pathlib import Path

from kontinual.local.supervisor import Supervisor

__all__ = ["Leash"]

_RELEASED = b"."


class Leash:
    """The owner's side: ties the stack in a folder to the life of this process."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kontinual.local.leash", str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def release(self) -> None:
        """Let go, once the stack is down."""
        self._process.communicate(_RELEASED)


def main(folder: Path) -> None:
    """Wait for the owner's end; end the stack unless the owner did."""
    if not sys.stdin.buffer.read(1):
        Supervisor(folder).shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
