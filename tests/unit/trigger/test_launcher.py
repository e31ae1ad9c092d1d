import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from kontinual.scratch import make_scratch
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import Act, LauncherByKind, LocalLauncher, Run, RunKind, Wish, claim
from kontinual.trigger import launcher as launcher_module
from kontinual.trigger.launcher import KILL_SECONDS
from kontinual.trigger.retreat import BegunRetreat, Retreat

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(id="toy-1", trigger=1, accepted_at=NOW)
Make = Callable[..., LocalLauncher]

# Says how often it was started, then waits until the file `go` is there.
COMMAND = """
import pathlib, sys, time
here = pathlib.Path(sys.argv[1])
with (here / "starts").open("a") as f: print(*sys.argv[2:], file=f)
print("working")
while not (here / "go").exists(): time.sleep(0.02)
sys.exit(3)
"""


@pytest.fixture
def make(loop: Loop, tmp_path: Path) -> Iterator[Make]:
    records: dict[str, RunRecord] = {}
    made = []

    def create(*command: str, retreat: Retreat | None = None) -> LocalLauncher:
        launcher = LocalLauncher(
            command or [sys.executable, "-c", COMMAND, str(tmp_path)],
            tmp_path / "runs",
            loop=loop,
            records=records.get,
            clock=lambda: NOW,
            retreat=retreat,
        )
        made.append(launcher)
        return launcher

    create.records = records
    yield create
    (tmp_path / "go").touch()
    for launcher in made:
        for child in launcher._children.values():
            child.wait(timeout=10)


def a_record() -> RunRecord:
    return RunRecord(
        id="toy-1",
        loop="toy",
        trigger="1",
        outcome=Outcome.PROMOTED,
        reason="better",
        started_at=NOW,
        ended_at=NOW,
    )


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def outcome_of(launcher: LocalLauncher) -> RunRecord:
    found: list[RunRecord] = []
    wait_until(lambda: found.extend(filter(None, [launcher.outcome(RUN)])) or found)
    return found[0]


def test_a_run_is_a_process_of_its_own_with_its_own_log(make: Make, tmp_path: Path) -> None:
    process = make().launch(RUN)
    assert os.getsid(process["pid"]) == process["pid"], "a signal to the service spares it"
    wait_until((tmp_path / "starts").exists)
    wait_until((tmp_path / "starts").read_text)
    assert (tmp_path / "starts").read_text() == "--run-id toy-1 --trigger 1\n"
    assert process["folder"] == str(tmp_path / "runs" / "toy-1")


def test_launching_again_starts_nothing(make: Make, tmp_path: Path) -> None:
    first = make()
    process = first.launch(RUN)
    assert first.launch(RUN) == process
    assert make().launch(RUN) == process, "nor by a service that was started anew"
    wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text())
    assert len((tmp_path / "starts").read_text().splitlines()) == 1


def test_launchers_that_race_start_one_process(make: Make, tmp_path: Path) -> None:
    pids = []
    threads = [
        threading.Thread(target=lambda: pids.append(make().launch(RUN)["pid"])) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 6
    assert len(set(pids)) == 1
    wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text())
    assert len((tmp_path / "starts").read_text().splitlines()) == 1


def test_a_run_is_adopted_by_another_service_and_its_record_is_the_outcome(
    make: Make, tmp_path: Path
) -> None:
    first = make()
    first.launch(RUN)
    adopting = make()
    assert adopting.outcome(RUN) is None
    record = make.records["toy-1"] = a_record()
    assert adopting.outcome(RUN) is None, "its process still goes on"
    (tmp_path / "go").touch()
    wait_until(lambda: adopting.outcome(RUN))
    assert adopting.outcome(RUN) == record


def test_a_run_without_a_record_has_failed_and_shows_its_last_words(
    make: Make, tmp_path: Path
) -> None:
    launcher = make()
    launcher.launch(RUN)
    (tmp_path / "go").touch()
    record = outcome_of(launcher)
    assert record.outcome is Outcome.FAILED
    last = "without a record; its last lines: working"
    assert record.reason == f"the run ended with exit code 3 {last}"
    # To a service that did not start it the exit code is unknown; the log is not.
    assert outcome_of(make()).reason == f"the run ended {last}"


def test_a_killed_run_has_failed_by_its_signal(make: Make) -> None:
    launcher = make()
    pid = launcher.launch(RUN)["pid"]
    os.kill(pid, signal.SIGKILL)
    record = outcome_of(launcher)
    assert record.reason.startswith("the run ended with signal 9 without a record")


def test_a_command_that_does_not_exist_is_a_failed_run_with_the_reason(make: Make) -> None:
    launcher = make("/nowhere/pipeline")
    launcher.launch(RUN)
    record = outcome_of(launcher)
    assert "exit code 127" in record.reason
    assert "/nowhere/pipeline: it can not be started" in record.reason


@pytest.mark.parametrize("has_record", [False, True])
def test_a_child_that_outlives_its_run_is_ended_and_does_not_hold_it_open(
    make: Make, tmp_path: Path, *, has_record: bool
) -> None:
    # A forked child inherits the lock; the run is over with its own process.
    forks = "import os, time; pid = os.fork() or time.sleep(60); "
    forks += f"open({str(tmp_path / 'up')!r}, 'w').write(str(pid))"
    launcher = make(sys.executable, "-c", forks)
    launcher.launch(RUN)
    wait_until(lambda: (tmp_path / "up").exists() and (tmp_path / "up").read_text())
    make.records.update({"toy-1": a_record()} if has_record else {})
    record = outcome_of(launcher)
    assert record.outcome is (Outcome.PROMOTED if has_record else Outcome.FAILED)
    with suppress(psutil.NoSuchProcess):  # a zombie where nobody takes notice
        child = psutil.Process(int((tmp_path / "up").read_text()))
        assert child.status() == psutil.STATUS_ZOMBIE


def test_a_run_is_killed_but_its_step_puts_things_right_before_it_has_failed(
    make: Make, tmp_path: Path
) -> None:
    launcher = make(sys.executable, "-c", CAREFUL, str(tmp_path))
    pid = launcher.launch(RUN)["pid"]
    wait_until((tmp_path / "up").exists)
    os.kill(pid, signal.SIGKILL)
    record = outcome_of(launcher)
    assert (tmp_path / "put back").exists(), "the step was asked, and waited for"
    assert record.reason.startswith("the run ended with signal 9 without a record")


def test_a_second_claim_of_a_finished_run_starts_nothing(tmp_path: Path) -> None:
    def claimed() -> int:
        command = [sys.executable, "-I", claim.__file__, str(tmp_path), "true"]
        return subprocess.run(command, check=False).returncode

    assert [claimed(), claimed()] == [0, claim.TAKEN]


# A run whose step works on after the run itself is gone, and puts things right when asked to end.
CAREFUL = """
import pathlib, signal, subprocess, sys, time
here = pathlib.Path(sys.argv[1])
step = "import pathlib, signal, sys, time\\n"
step += "def put_back(*_): time.sleep(0.3); (here / 'put back').touch(); sys.exit()\\n"
step += f"here = pathlib.Path({str(here)!r}); signal.signal(signal.SIGTERM, put_back)\\n"
step += "(here / 'up').touch(); time.sleep(60)"
subprocess.run([sys.executable, "-c", step])
"""
STOP = Act(by="ana", reason="wrong data", at=NOW)


def test_a_run_that_is_asked_to_end_has_ended_when_its_last_step_has(
    make: Make, tmp_path: Path
) -> None:
    launcher = make(sys.executable, "-c", CAREFUL, str(tmp_path))
    launcher.launch(RUN)
    wait_until((tmp_path / "up").exists)
    stopping = RUN.model_copy(update={"stop": STOP})
    record: list[RunRecord] = []

    def ended() -> bool:
        launcher.stop(stopping)
        record.extend(filter(None, [launcher.outcome(stopping)]))
        return bool(record)

    wait_until(ended)
    assert (tmp_path / "put back").exists(), "the step was waited for"
    assert record[0].outcome is Outcome.FAILED


def test_a_run_that_does_not_listen_is_killed_a_while_after_it_was_asked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = "import signal, pathlib, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    deaf += f"pathlib.Path({str(tmp_path / 'up')!r}).touch(); time.sleep(60)"
    launcher = make(sys.executable, "-c", deaf)
    launcher.launch(RUN)
    wait_until((tmp_path / "up").exists)
    stopping = RUN.model_copy(update={"stop": STOP})
    for _ in range(2):
        launcher.stop(stopping)
        time.sleep(0.1)
        assert launcher.outcome(stopping) is None
    monkeypatch.setattr(launcher_module, "KILL_SECONDS", 0.05)
    launcher.stop(stopping)
    assert outcome_of(launcher).reason.startswith("the run ended with signal 9 ")
    assert not launcher._asked, "nothing is kept of a run that has ended"


def test_a_stop_that_was_asked_for_long_ago_begins_with_a_request(
    make: Make, tmp_path: Path
) -> None:
    launcher = make(sys.executable, "-c", CAREFUL, str(tmp_path))
    launcher.launch(RUN)
    wait_until((tmp_path / "up").exists)
    long_ago = STOP.model_copy(update={"at": NOW - timedelta(seconds=KILL_SECONDS + 1)})
    launcher.stop(RUN.model_copy(update={"stop": long_ago}))
    outcome_of(launcher)
    assert (tmp_path / "put back").exists()


def test_a_run_is_found_and_stopped_however_the_clock_was_set_meanwhile(make: Make) -> None:
    launcher = make()
    folder = Path(launcher.launch(RUN)["folder"])
    note = json.loads((folder / claim.PROCESS).read_text())
    (folder / claim.PROCESS).write_text(json.dumps({**note, "started": note["started"] + 3600}))
    launcher.stop(RUN.model_copy(update={"stop": STOP}))
    assert "signal 15" in outcome_of(launcher).reason


@pytest.mark.parametrize(("boot", "ticks"), [("another", 0), (None, -1)])
def test_a_session_that_got_the_number_of_a_run_later_is_left_alone(
    make: Make, tmp_path: Path, boot: str | None, ticks: int
) -> None:
    launcher = make()
    process = launcher.launch(RUN)
    note = json.loads((Path(process["folder"]) / claim.PROCESS).read_text())
    note["birth"] = [boot or note["birth"][0], note["birth"][1] + ticks]
    (Path(process["folder"]) / claim.PROCESS).write_text(json.dumps(note))
    child = launcher._children.pop(RUN.id)
    stopping = RUN.model_copy(update={"stop": STOP})
    launcher.stop(stopping)
    assert launcher.outcome(stopping).reason.startswith("the run ended without a record")
    assert child.poll() is None
    (tmp_path / "go").touch()
    child.wait(timeout=10)


def test_a_run_that_never_was_is_stopped_already(make: Make) -> None:
    launcher = make()
    stopped = RUN.model_copy(update={"stop": STOP})
    launcher.stop(stopped)
    record = launcher.outcome(stopped)
    assert record is not None
    assert record.outcome is Outcome.FAILED


def test_what_a_trigger_wishes_is_told_to_the_run(make: Make, tmp_path: Path) -> None:
    wish = Wish(kind=RunKind.ROLLBACK, version="3", seed=7)
    make().launch(RUN.model_copy(update={"wish": wish}))
    wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text())
    told = "--run-id toy-1 --trigger 1 --seed 7 --version 3\n"
    assert (tmp_path / "starts").read_text() == told


def test_each_kind_of_run_has_its_own_launcher(make: Make, tmp_path: Path) -> None:
    both = LauncherByKind({kind: make(kind.value) for kind in RunKind})
    both.launch(RUN.model_copy(update={"wish": Wish(kind=RunKind.ROLLBACK)}))
    wait_until(lambda: both.outcome(RUN))
    assert "rollback: it can not be started" in both.outcome(RUN).reason


class SlowRetreat:
    """A retreat that is over when it is told so."""

    def __init__(self) -> None:
        self.over, self.asked = False, 0

    def is_over(self, run: Run) -> bool:
        self.asked += 1
        return self.over


def kill(launcher: LocalLauncher) -> None:
    pid = launcher.launch(RUN)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_a_run_that_was_killed_has_failed_only_when_nothing_is_left_of_its_rollout(
    make: Make,
) -> None:
    retreat = SlowRetreat()
    launcher = make(retreat=BegunRetreat(retreat, lambda run_id: run_id == RUN.id))
    kill(launcher)
    assert launcher.outcome(RUN) is None
    assert launcher.outcome(RUN) is None, "the next run would begin beside a canary"
    retreat.over = True
    failed = launcher.outcome(RUN)
    assert failed is not None
    assert failed.outcome is Outcome.FAILED
    assert "signal 9" in failed.reason, "the retreat does not hide how the run ended"


def test_a_run_that_never_came_to_its_rollout_has_failed_at_once(make: Make) -> None:
    retreat = SlowRetreat()
    launcher = make(retreat=BegunRetreat(retreat, lambda _: False))
    kill(launcher)
    assert outcome_of(launcher).outcome is Outcome.FAILED
    assert retreat.asked == 0


def test_what_a_run_has_recorded_well_is_not_taken_back(make: Make) -> None:
    retreat = SlowRetreat()
    launcher = make(retreat=retreat)
    make.records["toy-1"] = a_record()  # type: ignore[attr-defined]
    kill(launcher)
    assert outcome_of(launcher).outcome is Outcome.PROMOTED
    assert retreat.asked == 0


def test_a_run_that_has_ended_leaves_no_zombie(make: Make) -> None:
    launcher = make()
    make.records["toy-1"] = a_record()  # type: ignore[attr-defined]
    pid = launcher.launch(RUN)["pid"]
    os.kill(pid, signal.SIGKILL)
    outcome_of(launcher)
    assert not psutil.pid_exists(pid), "a year of runs would fill the table of processes"


def test_what_a_killed_run_has_left_in_the_systems_temporary_folder_goes(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    launcher = make()
    launcher.launch(RUN)
    left = make_scratch(tmp_path / "runs" / RUN.id)
    (left / "gigabytes").touch()
    assert launcher.outcome(RUN) is None
    assert left.is_dir(), "it is at work with them"
    kill(launcher)
    outcome_of(launcher)
    assert not left.exists()
