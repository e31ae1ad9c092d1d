"""An earlier version becomes champion again: traffic and registry agree, whatever fails."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rollout_process import world_in
from rollout_world import FileRegistry, World

from kontinual.errors import GatewayError, KontinualError, PromotionConflict, TrackingError
from kontinual.interrupt import Interrupted
from kontinual.lake import Lake, RunJournal
from kontinual.rollout import Phase, RolloutState, resume
from kontinual.spec import Outcome, RunRecord
from kontinual.steps import rollback as step

HERE = Path(__file__).parent
LOOP = str(HERE.parents[2] / "examples" / "flights" / "loop.yaml")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def back(world: World) -> World:
    """Version 3 is champion, after 1 and 2."""
    world.serve("3")
    world.gateway.retire("1")
    return world


def restore(world: World, version: str) -> str:
    return step.restore(world.loop, version=version, **world.parts_of_abort)


def test_the_version_asked_for_takes_over_and_the_one_before_is_stopped(back: World) -> None:
    assert restore(back, "1") == "version 1 is champion again, after 3"
    assert back.registry.champion() == "1"
    back.assert_one_champion()


def test_a_version_that_is_champion_already_has_all_traffic(back: World) -> None:
    back.gateway.deploy("1", Path("p"))
    back.gateway.shift({"1": 50, "3": 50})
    assert restore(back, "3") == "version 3 is champion again"
    assert back.gateway.weights() == {"3": 100}


def test_before_a_first_champion_there_is_nothing_to_go_back_from(
    world: World, tmp_path: Path
) -> None:
    world.registry = FileRegistry(tmp_path / "empty")
    with pytest.raises(TrackingError, match="no champion yet"):
        restore(world, "1")


def test_a_version_whose_package_is_gone_changes_nothing(
    back: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(version: str) -> Path:
        raise TrackingError(f"flights has no version {version}")

    monkeypatch.setattr(back.registry, "package", gone)
    with pytest.raises(TrackingError, match="flights has no version 1"):
        restore(back, "1")
    back.assert_one_champion()


@pytest.mark.parametrize("broken", ["deploy", "shift"])
def test_a_gateway_that_fails_leaves_the_champion(back: World, broken: str) -> None:
    back.gateway.broken = {broken}
    with pytest.raises(GatewayError, match=f"{broken} fails"):
        restore(back, "1")
    back.gateway.broken = set()
    resume(back.loop, **back.parts)
    assert back.registry.champion() == "3"
    back.assert_one_champion()


def test_who_became_champion_meanwhile_gets_the_traffic_back(
    back: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(version: str, *, expected: str | None) -> None:
        raise PromotionConflict("another one")

    monkeypatch.setattr(back.registry, "set_champion", conflict)
    with pytest.raises(KontinualError, match="another one"):
        restore(back, "1")
    back.assert_one_champion()


@pytest.mark.parametrize(("after_the_swap", "serves"), [(False, "3"), (True, "1")])
def test_asked_to_end_in_the_middle_traffic_is_with_the_champion(
    back: World, monkeypatch: pytest.MonkeyPatch, *, after_the_swap: bool, serves: str
) -> None:
    swap = back.registry.set_champion

    def interrupted(version: str, *, expected: str | None) -> None:
        if after_the_swap:
            swap(version, expected=expected)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(back.registry, "set_champion", interrupted)
    with pytest.raises(Interrupted):
        restore(back, "1")
    assert back.registry.champion() == serves
    back.assert_one_champion()


def test_what_can_not_be_stopped_does_not_undo_the_return(back: World) -> None:
    back.gateway.broken = {"retire"}
    assert restore(back, "1") == "version 1 is champion again, after 3"
    assert back.registry.champion() == "1"


def test_a_rollout_that_was_left_unfinished_is_undone_first(back: World) -> None:
    state = RolloutState(
        loop="flights",
        champion="3",
        owner="3",
        challenger="2",
        packages={},
        phase=Phase.OBSERVING,
        started_at=NOW,
        updated_at=NOW,
    )
    back.gateway.deploy("2", Path("p"))
    back.gateway.shift({"2": 5, "3": 95})
    back.store.save(state)
    restore(back, "1")
    assert back.registry.champion() == "1"
    back.assert_one_champion()


# Before and after each of: the state kept, the predictor up, traffic, registry, the end.
@pytest.mark.parametrize("die_at", [1, 3, 5, 7, 8, 10])
@pytest.mark.parametrize("then", ["again", "resume"])
def test_killed_anywhere_it_is_completed_when_begun_again_and_repaired_by_resume(
    tmp_path: Path, die_at: int, then: str
) -> None:
    world = world_in(tmp_path)
    world.serve("1")
    command = [sys.executable, str(HERE / "rollout_process.py"), str(tmp_path), "restore"]
    killed = subprocess.run([*command, "--die-at", str(die_at)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    if then == "again":
        restore(world, "2")
        assert world.registry.champion() == "2"
    else:
        resume(world.loop, **world.parts)
    world.assert_one_champion()


@pytest.fixture
def journal(back: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunJournal:
    """Of a rollback that works on this world."""
    monkeypatch.setenv("KONTINUAL_LAKE", str(tmp_path))
    parts = {k: v for k, v in back.parts.items() if k != "speedup"}
    monkeypatch.setattr(step, "collaborators", lambda *_: parts)
    return Lake(str(tmp_path), back.loop).journal("flights-1")


def test_a_run_that_is_begun_twice_goes_back_once(back: World, journal: RunJournal) -> None:
    first = step.rollback(LOOP, "flights-1", trigger="7", version="2")
    assert (first.outcome, first.champion) == (Outcome.RESTORED, "2")
    back.serve("3")  # by whatever came later
    assert step.rollback(LOOP, "flights-1", trigger="7", version="2") == first
    assert back.registry.champion() == "3"
    assert journal.record() == first


def test_one_that_another_process_works_on_is_waited_for(
    back: World, journal: RunJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    lock = back.store.lock

    def noted(*, timeout: float = 0.0) -> object:
        waited.append(timeout)
        return lock(timeout=timeout)

    monkeypatch.setattr(back.store, "lock", noted)
    journal.note("rollback", {"started_at": "2026-01-01T00:00:00Z"})
    step.rollback(LOOP, "flights-1", trigger="7", version="2")
    assert waited == [step.AGAIN_SECONDS]


def test_a_rollout_at_work_is_not_disturbed(
    back: World, journal: RunJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "BUSY_SECONDS", 0.0)
    with back.store.lock():
        record: RunRecord = step.rollback(LOOP, "flights-1", trigger="7", version="2")
    assert record.outcome is Outcome.FAILED
    assert "another process is at work" in record.reason
    assert back.gateway.weights() == {"3": 100}
