"""Ties a stack to the life of the process that owns it, however that ends."""

import subprocess
import sys
from pathlib import Path

__all__ = ["Leash"]


class Leash:
    """While it is held, the death of this process ends the stack (see `keeper`)."""

    def __init__(self, folder: Path) -> None:
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "kontinual.local.keeper", str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the owner
        )

    def release(self) -> None:
        """Let go, once the stack is down."""
        self._keeper.communicate(b".")
