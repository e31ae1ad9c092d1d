"""supervisord itself, with small programs."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kontinual.errors import ServiceError
from kontinual.local import Supervisor
from kontinual.local.processes import is_alive, marked
from kontinual.local.programs import Program

SLEEPER = "import time, os; print('awake', os.getpid(), flush=True); time.sleep(1000)"
# Starts a process in a session of its own, as the trigger does with a run.
LAUNCHER = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], start_new_session=True); {SLEEPER}"  # noqa: E501


def sleeper(name: str, code: str = SLEEPER, **more: object) -> Program:
    return Program.model_validate(
        {"name": name, "command": [sys.executable, "-c", code], "directory": "/", **more}
    )


def eventually(condition: Callable[[], object], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def runs(pid: int | None) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "a stack")
    yield supervisor
    supervisor.shutdown()
    assert not marked(supervisor.folder)


def test_what_a_program_writes_is_its_users_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code = f"import time; open({str(kept)!r}, 'w').close(); time.sleep(1000)"
    supervisor.put(sleeper("one", code))
    supervisor.start()
    eventually(kept.exists)
    assert stat.filemode(kept.stat().st_mode) == "-rw-------"


def test_a_program_runs_with_its_environment_and_a_log_of_its_own(supervisor: Supervisor) -> None:
    code = "import os, time; print(os.environ['WORD'], flush=True); time.sleep(1000)"
    supervisor.put(sleeper("one", code, environment={"WORD": 'so, "this" = 100%; it is'}))
    supervisor.start()
    log = supervisor.log_of("one")
    eventually(lambda: log.exists() and log.read_text().startswith('so, "this" = 100%; it is'))
    assert supervisor.states()["one"].is_up


def test_starting_twice_leaves_programs_alone(supervisor: Supervisor) -> None:
    supervisor.put(sleeper("one"))
    supervisor.start()
    eventually(lambda: supervisor.states()["one"].pid)
    before = supervisor.states()["one"].pid
    supervisor.start()
    supervisor.put(sleeper("one"))
    assert supervisor.states()["one"].pid == before


def test_a_changed_program_is_restarted_and_a_removed_one_ends(supervisor: Supervisor) -> None:
    supervisor.put(sleeper("one"), sleeper("two"))
    supervisor.start()
    eventually(lambda: all(s.pid for s in supervisor.states().values()))
    before = {name: state.pid for name, state in supervisor.states().items()}
    supervisor.put(sleeper("one", environment={"NEW": "1"}))
    eventually(lambda: supervisor.states()["one"].pid not in {None, before["one"]})
    assert supervisor.states()["two"].pid == before["two"]
    supervisor.remove("two")
    assert supervisor.names() == ["one"]
    assert not runs(before["two"])


def test_a_program_that_dies_is_started_again(supervisor: Supervisor) -> None:
    supervisor.put(sleeper("one"))
    supervisor.start()
    eventually(lambda: supervisor.states()["one"].state == "RUNNING")
    before = supervisor.states()["one"].pid
    os.kill(before or 0, signal.SIGKILL)
    eventually(lambda: supervisor.states()["one"].pid not in {None, before})


def test_a_program_that_can_not_start_is_given_up_with_its_reason(supervisor: Supervisor) -> None:
    supervisor.put(Program(name="none", command=["/no/such/program"], directory=Path("/")))
    supervisor.start()
    failure = supervisor.failure_of("none")
    eventually(failure, seconds=30)
    assert failure() == "fatal can't find command '/no/such/program'"


def test_shutdown_ends_what_programs_have_launched_and_detached(supervisor: Supervisor) -> None:
    supervisor.put(sleeper("trigger", LAUNCHER))
    supervisor.start()
    log = supervisor.log_of("trigger")
    eventually(lambda: log.exists() and log.read_text().count("awake") == 2)
    pids = [int(line.split()[1]) for line in log.read_text().splitlines()]
    supervisor.shutdown()
    assert not [pid for pid in pids if runs(pid)]
    assert not supervisor.is_running()


def test_a_run_that_retreats_can_remove_its_canary_while_the_stack_goes_down(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    run = f"""
import time
from pathlib import Path
from kontinual.interrupt import Interrupted, sigterm_interrupts
from kontinual.local import Supervisor
try:
    with sigterm_interrupts():
        print("awake", flush=True)
        time.sleep(1000)
except Interrupted:
    Supervisor(Path({str(supervisor.folder)!r})).remove("canary")
    Path({str(tmp_path / "retired")!r}).touch()
"""
    launcher = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {run!r}], start_new_session=True); time.sleep(1000)"  # noqa: E501
    supervisor.put(sleeper("canary"), sleeper("trigger", launcher))
    supervisor.start()
    log = supervisor.log_of("trigger")
    eventually(lambda: log.exists() and "awake" in log.read_text())
    began = time.monotonic()
    supervisor.shutdown()
    assert (tmp_path / "retired").exists()
    assert time.monotonic() - began < 15, "nothing waited for a lock in vain"
    assert supervisor.names() == ["trigger"]


def test_orphans_of_a_killed_supervisord_are_ended_by_the_next_start(
    supervisor: Supervisor,
) -> None:
    supervisor.put(sleeper("one"))
    supervisor.start()
    eventually(lambda: supervisor.states()["one"].pid)
    orphan = supervisor.states()["one"].pid
    pid = int((supervisor.folder / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not supervisor.is_running())
    supervisor.start()
    assert not runs(orphan)
    eventually(lambda: supervisor.states()["one"].pid not in {None, orphan})


def test_a_home_too_deep_for_a_socket_works_and_leaves_nothing_in_tmp(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    supervisor = Supervisor(deep)
    supervisor.put(sleeper("one"))
    supervisor.start()
    socket_folder = Path((deep / "socket-folder").read_text())
    assert (socket_folder / "supervisor.sock").is_socket()
    supervisor.shutdown()
    assert not socket_folder.exists()


def test_a_home_with_a_percent_sign_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="set KONTINUAL_HOME to another folder"):
        Supervisor(tmp_path / "100%")


def test_a_stack_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    code = f"""
import sys, time
from pathlib import Path
from kontinual.local import Supervisor
from kontinual.local.leash import Leash
from kontinual.local.programs import Program
folder = Path({str(folder)!r})
supervisor = Supervisor(folder)
supervisor.put(Program(name="one", command=[sys.executable, "-c", {SLEEPER!r}], directory=folder))
leash = Leash(folder)
supervisor.start()
print("up", flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        assert len(marked(folder)) >= 1
        owner.kill()
    eventually(lambda: not marked(folder), seconds=30)


CHATTERER = "import time; [print(i, flush=True) or time.sleep(0.05) for i in range(10_000)]"


def test_a_disk_that_is_full_for_a_while_ends_neither_supervisord_nor_a_program(
    supervisor: Supervisor,
) -> None:
    supervisor.put(sleeper("one", CHATTERER))
    supervisor.start()
    log = supervisor.log_of("one")
    eventually(lambda: log.exists() and log.stat().st_size > 20)
    before = supervisor.states()["one"].pid
    daemon = supervisor._process()
    assert daemon is not None
    daemon.rlimit(psutil.RLIMIT_FSIZE, (1, -1))  # no file may grow beyond a byte
    full = log.stat().st_size
    time.sleep(2)
    assert log.stat().st_size == full, "else this test proves nothing"
    assert supervisor.states()["one"].pid == before

    daemon.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
    eventually(lambda: log.stat().st_size > full)
    assert supervisor.states()["one"].pid == before
