"""Start a run's command once and only once; executed as a script of its own.

    python claim.py FOLDER COMMAND...

It takes the lock of FOLDER and becomes COMMAND, which keeps the lock for as
long as it lives: the kernel itself says whether a run is going on, whatever
became of the service that started it. `process.json` says that it was started;
a second claim of the same folder ends with exit code 75 and starts nothing.
The standard library alone, so that it takes no time.
"""

import fcntl
import json
import os
import sys
import time
from pathlib import Path

LOCK = "lock"
PROCESS = "process.json"
LOG = "run.log"
TAKEN = 75  # EX_TEMPFAIL: someone else has it


def main(folder: Path, command: list[str]) -> int:
    """Claim the folder and become the command; returns only when that is not possible."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return TAKEN
    if (folder / PROCESS).exists():
        return TAKEN
    os.set_inheritable(lock, True)
    note_process(folder, command)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as exc:
        sys.stderr.write(f"{command[0]}: it can not be started: {exc}\n")
        return 127


def note_process(folder: Path, command: list[str]) -> None:
    """Say durably who runs; the rename makes it whole or absent."""
    pid = os.getpid()
    note = {"pid": pid, "birth": birth_of(pid), "started": time.time(), "command": command}
    draft = folder / (PROCESS + ".draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / PROCESS)


def birth_of(pid: int) -> list[str | int] | None:
    """When a process began: the machine's boot, and ticks since then. No clock can move it.

    None when there is no such process, or a system without /proc.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Behind the name, which may hold anything; `starttime` is field 22, the state is 3.
    return [boot, int(stat.rpartition(")")[2].split()[19])]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
