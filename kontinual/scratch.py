"""A run's folder for temporary files, which goes with the run however that ends.

It lies in the system's folder for such, as the path of a Unix socket has to be short. The run's own
folder notes where: a run that is stopped or killed leaves gigabytes perhaps, and whoever finds that
it has ended removes them.
"""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["clear_scratch", "make_scratch"]

_NOTE = "scratch"


def make_scratch(folder: Path) -> Path:
    """Make one for the run that has this folder.

    Raises:
        OSError: it could not be made or noted.
    """
    scratch = Path(tempfile.mkdtemp(prefix="kontinual-run-"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NOTE).write_text(str(scratch), encoding="utf-8")
    return scratch


def clear_scratch(folder: Path) -> None:
    """Remove what a run has left there; no process may work on the run any more."""
    note = folder / _NOTE
    with suppress(FileNotFoundError):
        shutil.rmtree(note.read_text(encoding="utf-8"), ignore_errors=True)
        note.unlink()
