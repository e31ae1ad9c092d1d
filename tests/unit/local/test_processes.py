import subprocess
import sys
import time
from pathlib import Path

import psutil

from kontinual.local.processes import MARK, end, is_alive, marked

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"  # noqa: E501


def start(code: str, folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={MARK: str(folder)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_the_living_processes_of_this_stack_are_found_and_not_this_one(
    tmp_path: Path,
) -> None:
    mine, other = (
        start("print(flush=True); import time; time.sleep(60)", tmp_path / name)
        for name in ("a", "b")
    )
    with mine, other:
        assert [p.pid for p in marked(tmp_path / "a")] == [mine.pid]
        assert marked(tmp_path / "a", but=[mine.pid]) == []
        mine.kill()
        while is_alive(psutil.Process(mine.pid)):
            time.sleep(0.01)
        assert marked(tmp_path / "a") == []  # a zombie is none of the living
        other.kill()


def test_what_does_not_heed_a_request_is_killed(tmp_path: Path) -> None:
    with start(STUBBORN, tmp_path) as process:
        end([psutil.Process(process.pid)], seconds=0.2)
        assert process.wait(timeout=5) == -9


def test_children_are_left_to_their_parent_to_end(tmp_path: Path) -> None:
    parent_code = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
def stop(*_):
    child.kill()
    sys.exit(child.wait() == -9 and 7)
signal.signal(signal.SIGTERM, stop)
print(flush=True)
signal.pause()
"""
    with start(parent_code, tmp_path) as parent:
        end(marked(tmp_path), seconds=10)
        assert parent.wait(timeout=5) == 7
