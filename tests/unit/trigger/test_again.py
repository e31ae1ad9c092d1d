"""A run that may be begun twice: on another host, or after its process died."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import Act, LocalLauncher, Run
from kontinual.trigger.again import RepeatingLauncher

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(id="toy-1", trigger=1, accepted_at=NOW, launched_at=NOW)
DONE = RunRecord(
    id="toy-1", loop="toy", trigger="1", outcome=Outcome.RESTORED, reason="version 3 is back",
    started_at=NOW, ended_at=NOW,
)  # fmt: skip
# Says that it was started, then waits until the file `go` is there.
COMMAND = """
import pathlib, sys, time
here = pathlib.Path(sys.argv[1])
with (here / "starts").open("a") as f: print("started", file=f)
while not (here / "go").exists(): time.sleep(0.02)
"""
Host = Callable[[str], RepeatingLauncher]


@pytest.fixture
def records() -> dict[str, RunRecord]:
    return {}


@pytest.fixture
def host(loop: Loop, tmp_path: Path, records: dict[str, RunRecord]) -> Iterator[Host]:
    """A launcher on a host of its own."""
    made: list[LocalLauncher] = []

    def make(name: str) -> RepeatingLauncher:
        command = [sys.executable, "-c", COMMAND, str(tmp_path)]
        attempts = [
            LocalLauncher(command, tmp_path / name / n, loop=loop, records=records.get)
            for n in ("first", "again")
        ]
        made.extend(attempts)
        return RepeatingLauncher(attempts, records=records.get)

    yield make
    (tmp_path / "go").touch()
    for launcher in made:
        for child in launcher._children.values():
            child.wait(timeout=10)


def ended(launcher: RepeatingLauncher) -> RunRecord:
    deadline = time.monotonic() + 20
    while (found := launcher.outcome(RUN)) is None:
        assert time.monotonic() < deadline, "it did not end"
        time.sleep(0.02)
    return found


def starts(folder: Path) -> int:
    noted = folder / "starts"
    return len(noted.read_text().splitlines()) if noted.exists() else 0


def wait_for_two_starts(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while starts(folder) < 2:
        assert time.monotonic() < deadline, "it was not begun again"
        time.sleep(0.02)


def test_a_host_that_knows_nothing_of_a_run_begins_it_again_and_waits(
    host: Host, records: dict[str, RunRecord], tmp_path: Path
) -> None:
    one, other = host("one"), host("other")
    one.launch(RUN)
    assert other.outcome(RUN) is None, "another host may be at it, so nothing is concluded"
    wait_for_two_starts(tmp_path)
    assert other.outcome(RUN) is None
    records["toy-1"] = DONE
    (tmp_path / "go").touch()
    assert ended(one) == ended(other) == DONE
    assert starts(tmp_path) == 2


def test_a_record_is_enough_and_nothing_is_begun(
    host: Host, records: dict[str, RunRecord], tmp_path: Path
) -> None:
    records["toy-1"] = DONE
    assert host("other").outcome(RUN) == DONE
    assert starts(tmp_path) == 0


def test_a_process_that_died_is_begun_again_once_and_then_has_failed(
    host: Host, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    here = host("one")
    here.launch(RUN)
    assert ended(here).outcome is Outcome.FAILED
    assert ended(here).outcome is Outcome.FAILED
    assert starts(tmp_path) == 2


def test_what_was_asked_to_end_is_not_begun_again(host: Host, tmp_path: Path) -> None:
    stopped = RUN.model_copy(update={"stop": Act(by="ana", reason="no", at=NOW)})
    here = host("one")
    here.stop(stopped)
    record = here.outcome(stopped)
    assert record is not None
    assert record.outcome is Outcome.FAILED
    assert starts(tmp_path) == 0
