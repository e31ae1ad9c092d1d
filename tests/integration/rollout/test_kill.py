"""Kill -9 at every action of a rollout; whatever is done then, one champion has all traffic."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rollout_process import world_in
from rollout_world import World

from kontinual.rollout import Phase, abort, resume
from kontinual.spec import Outcome

PROGRAM = Path(__file__).parents[2] / "unit" / "rollout" / "rollout_process.py"


def fork_rollout(folder: Path, *, die_at: int, harm: bool) -> int:
    """Run a rollout in a child that dies by SIGKILL; the signal that ended it, 0 for none.

    A fork, because the imports of a fresh interpreter take longer than forty rollouts.
    """
    child = os.fork()
    if child == 0:
        from rollout_process import main

        sys.argv = ["", str(folder), "rollout", "--die-at", str(die_at)]
        sys.argv += ["--harm"] if harm else []
        try:
            main()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def serve(folder: Path, *, harm: bool) -> World:
    folder.mkdir()
    world = world_in(folder, harm=harm)
    world.serve("1")
    return world


@pytest.mark.parametrize("harm", [False, True])
@pytest.mark.parametrize("then", ["resume", "abort"])
def test_killed_at_any_action_a_rollout_ends_with_one_champion(
    tmp_path: Path, then: str, harm: bool
) -> None:
    promoted = set()
    for die_at in itertools.count(1):
        folder = tmp_path / str(die_at)
        world = serve(folder, harm=harm)
        if fork_rollout(folder, die_at=die_at, harm=harm) != signal.SIGKILL:
            break  # it has fewer actions than that
        if then == "resume":
            result = resume(world.loop, **world.parts)
        else:
            result = abort(world.loop, **world.parts_of_abort, who="Ada")
        world.assert_one_champion()
        if result is not None:
            assert (result.outcome is Outcome.PROMOTED) == (world.registry.champion() == "2")
        promoted.add(world.registry.champion())
    assert die_at > 20, "too few actions to be all of a rollout"
    # A rollout that was good and (before the swap) resumed is promoted; a harmful one never.
    assert promoted == ({"1"} if harm else {"1", "2"})


def test_sigterm_rolls_back_and_ends_the_process(tmp_path: Path) -> None:
    world = serve(tmp_path / "world", harm=False)
    process = subprocess.Popen(
        [sys.executable, PROGRAM, tmp_path / "world", "rollout", "--sleepy"],
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(600):
            if world.gateway.weights().get("2") == 10:
                break
            time.sleep(0.05)
        assert world.gateway.weights() == {"1": 90, "2": 10}
        assert world.store.busy()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert b"Interrupted: SIGTERM" in said
    state = world.store.load()
    assert state is not None
    assert (state.phase, state.reason) == (Phase.ROLLED_BACK, "interrupted by SIGTERM")
    world.assert_one_champion()


def test_a_living_rollout_is_aborted_by_another_process(tmp_path: Path) -> None:
    world = serve(tmp_path / "world", harm=False)
    with subprocess.Popen(
        [sys.executable, PROGRAM, tmp_path / "world", "rollout", "--sleepy"]
    ) as process:
        try:
            for _ in range(600):
                if world.gateway.weights().get("2") == 10:
                    break
                time.sleep(0.05)
            result = abort(world.loop, **world.parts_of_abort, who="Ada")
        finally:
            process.kill()
    assert result is not None
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("aborted by Ada")
    world.assert_one_champion()
