"""A process that takes back a run's rollout: begun once, looked at, and tried again."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kontinual.errors import ServiceError
from kontinual.trigger.contracts import Act, Run
from kontinual.trigger.retreat import LONGEST_SECONDS, PAUSE_SECONDS, ProcessRetreat

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(id="toy-1", trigger=7, accepted_at=NOW)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[[str], ProcessRetreat]:
    """A retreat whose process notes its arguments, then does what a line says."""

    def made(line: str) -> ProcessRetreat:
        script = tmp_path / "script.py"
        script.write_text(
            "import pathlib, sys, time\n"
            f"with open({str(tmp_path / 'calls')!r}, 'a') as file:\n"
            "    print(*sys.argv[1:], file=file)\n"
            f"{line}\n"
        )
        return ProcessRetreat([sys.executable, str(script), "--loop", "l.yaml"], clock=clock)

    return made


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def ended(retreat: ProcessRetreat, run: Run = RUN) -> bool:
    """What is told when the process has ended."""
    assert not retreat.is_over(run), "nobody waits for it"
    retreat._tries[run.id].process.wait(30)
    return retreat.is_over(run)


def test_a_process_is_begun_once_and_told_of_when_it_has_ended(
    make: Callable[[str], ProcessRetreat], tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    retreat = make(f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)")
    for _ in range(3):
        assert not retreat.is_over(RUN)
    go_on.touch()
    deadline = time.monotonic() + 30
    while not retreat.is_over(RUN):
        assert time.monotonic() < deadline
    assert calls(tmp_path) == ["--loop l.yaml --run-id toy-1"]


def test_who_asked_the_run_to_end_is_handed_on(
    make: Callable[[str], ProcessRetreat], tmp_path: Path
) -> None:
    stop = Act(by="ana (token)", reason="it harms", at=NOW)
    assert ended(make(""), RUN.model_copy(update={"stop": stop}))
    assert calls(tmp_path) == ["--loop l.yaml --run-id toy-1 --by ana (token)"]


def test_a_failure_is_told_in_the_processs_last_words_and_tried_again_after_a_pause(
    make: Callable[[str], ProcessRetreat], clock: Clock, tmp_path: Path
) -> None:
    retreat = make("sys.exit('a log line\\nthe cluster does not answer')")
    expected = r"rollout of run toy-1 ended with exit code 1: the cluster does not answer$"
    with pytest.raises(ServiceError, match=expected):
        ended(retreat)
    clock.now += PAUSE_SECONDS - 1
    assert not retreat.is_over(RUN)
    assert len(calls(tmp_path)) == 1
    clock.now += 1
    make("")  # what ailed it is over
    assert ended(retreat)


def test_one_that_hangs_is_killed(make: Callable[[str], ProcessRetreat], clock: Clock) -> None:
    retreat = make("time.sleep(600)")
    assert not retreat.is_over(RUN)
    process = retreat._tries[RUN.id].process
    clock.now += LONGEST_SECONDS + 1
    with pytest.raises(ServiceError, match=r"toy-1 did not end: it said nothing"):
        retreat.is_over(RUN)
    assert process.returncode == -9


def test_a_command_that_is_not_there_is_an_error(clock: Clock) -> None:
    with pytest.raises(ServiceError, match=r"run toy-1 can not be seen to: .*no-such-program"):
        ProcessRetreat(["/no-such-program"], clock=clock).is_over(RUN)
