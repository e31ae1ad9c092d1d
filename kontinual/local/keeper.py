"""`python -m kontinual.local.keeper FOLDER`: ends a stack when its owner is gone.

It reads its standard input, the other end of which only the owner holds. A byte
means that the owner has ended the stack itself. The end of the input without
one means that the owner died, by SIGKILL even: then the keeper ends the stack.
"""

import sys
from pathlib import Path

from kontinual.local.supervisor import Supervisor

__all__ = ["main"]


def main(folder: Path) -> None:
    """Wait for the owner's end; end the stack unless the owner did."""
    if not sys.stdin.buffer.read(1):
        Supervisor(folder).shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
