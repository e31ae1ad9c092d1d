"""`python -m kontinual.local.daemon`: supervisord, which a full disk does not end.

Where supervisord can not write a log, it says so on its standard error. That is a file on the same
disk: the second failure takes a program's output from it, which ends the program, and soon
supervisord itself, after which nothing is started again. Here what can not be written is let go.
"""

import sys
from contextlib import suppress
from typing import TextIO, cast

from supervisor import supervisord

__all__ = ["Forgiving", "main"]


class Forgiving:
    """A text stream whose disk may be full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what there is room for, at once."""
        with suppress(OSError):
            self._stream.write(text)
        self.flush()
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


def main() -> None:
    """Run supervisord with the process's arguments."""
    sys.stdout = cast("TextIO", Forgiving(sys.stdout))
    sys.stderr = cast("TextIO", Forgiving(sys.stderr))
    supervisord.main()


if __name__ == "__main__":
    main()
