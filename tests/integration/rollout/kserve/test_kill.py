"""Killed before or after any request that changes something, a rollout on KServe can be ended.

Between two such requests a process only reads, so these are all the moments there are.
"""

from pathlib import Path
from typing import Any

import pytest
from kserve_world import KServeWorld
from rollout_world import Behaviour

from kontinual.rollout import abort, resume, rollout
from kontinual.spec import Loop, Outcome, load_loop
from tests.cluster.imitation.kserve.controller import Cluster
from tests.kube.clients import Killed

EXAMPLE = Path(__file__).parents[4] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [50, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "60s"}


@pytest.fixture
def loop() -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "rollout": PLAN})


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
@pytest.mark.parametrize("how", ["resumed", "aborted", "harmful"])
def test_wherever_it_is_killed_one_champion_is_left(
    tmp_path: Path, loop: Loop, mode: str, how: str
) -> None:
    """`harmful`: it is killed on its way up or down, and resumed."""
    deaths = 0
    while True:
        with KServeWorld(tmp_path / str(deaths), loop, Cluster(mode=mode), direct=True) as world:
            prepare(world, harmful=how == "harmful")
            if not killed(world, fuse=deaths + 1):
                break
            assert_served(world)
            parts = world.process()
            if how == "aborted":
                abort(loop, **parts, who="Ada")
            else:
                resume(loop, **parts)
            settled(world, how)
        deaths += 1
    assert deaths > 20
    assert_outcome(world, how)


def prepare(world: KServeWorld, *, harmful: bool) -> None:
    world.folder.mkdir()
    world.serve("1")
    world.package("2")
    if harmful:
        world.traffic.versions["2"] = Behaviour(score=0.8)


def killed(world: KServeWorld, *, fuse: int) -> bool:
    parts = world.process(fuse=fuse)
    try:
        rollout(world.loop, champion="1", challenger="2", **parts)
    except Killed:
        world.alive.clear()
        return True
    return False


def assert_served(world: KServeWorld) -> None:
    """Whatever was half done, all traffic goes to versions that answer."""
    world.settle()
    weights = world.observer.weights()
    assert sum(weights.values()) == 100
    assert all(world.pods(version) for version in weights)


def settled(world: KServeWorld, how: str) -> None:
    world.assert_one_champion()
    state = world.process()["store"].load()
    if state is None:  # killed before the rollout was written down
        assert world.registry.champion() == "1"
        return
    assert state.phase.ended
    assert (state.outcome is Outcome.PROMOTED) == (world.registry.champion() == "2")
    if how == "harmful":
        assert world.registry.swaps == []


def assert_outcome(world: Any, how: str) -> None:
    assert world.registry.swaps == ([] if how == "harmful" else ["2"])
