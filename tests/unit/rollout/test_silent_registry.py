"""A registry that does not answer, at whatever call: traffic stays with the champion."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_world import Behaviour, Killed, World

from kontinual.errors import GatewayError
from kontinual.rollout import Phase, abort, resume, rollout
from kontinual.spec import Loop

PLAN = {"steps": [20, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "30s"}
FOR_EVER = 10_000


@pytest.fixture
def loop(loop: Loop) -> Loop:
    return Loop.model_validate({**loop.model_dump(by_alias=True), "rollout": PLAN})


@pytest.fixture
def worlds(tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One after the other, each with champion 1; time passes there in large steps."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power fails here, and there are many

    def made(number: int) -> World:
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, loop, v1=Behaviour(), v2=Behaviour(), v3=Behaviour())
        world.serve("1")
        sleep = world.sleep
        world.sleep = lambda seconds: sleep(10 * seconds)  # type: ignore[method-assign]
        return world

    return map(made, itertools.count())


def begin(world: World, *, fuse: int = 0) -> None:
    rollout(world.loop, champion="1", challenger="2", **{**world.parts, **world.mortal(fuse)})


def end(world: World, how: str) -> None:
    """Whatever one may do with a rollout that was left."""
    if how == "resume":
        resume(world.loop, **world.parts)
    elif how == "abort":
        abort(world.loop, **world.parts_of_abort, who="Ada")
    else:
        champion = world.registry.champion()
        rollout(world.loop, champion=champion, challenger="3", **world.parts)


def silently(world: World, act: object, *, first: int, calls: int) -> bool:
    """Act; was the registry asked that often?"""
    world.registry.fall_silent(first, calls=calls)
    try:
        act()  # type: ignore[operator]
    except ConnectionError:
        pass
    finally:
        world.registry.speak()
    assert_true(world)
    return world.registry.calls >= first


def assert_true(world: World) -> None:
    """What has ended is whole; before, traffic is shared with the champion at the least."""
    state, champion = world.store.load(), world.registry.champion()
    if state is None or state.phase.ended:
        world.assert_one_champion()
    elif state.phase in {Phase.RETIRING, Phase.ROLLING_BACK}:
        assert world.gateway.weights() == {champion: 100}
    assert champion in world.gateway.deployed()


@pytest.mark.parametrize("calls", [1, 2, FOR_EVER])
@pytest.mark.parametrize("how", ["resume", "abort", "rollout"])
def test_a_rollout_during_which_it_falls_silent_is_ended_later(
    worlds: Iterator[World], how: str, calls: int
) -> None:
    for first, world in enumerate(worlds, start=1):
        if not silently(world, lambda: begin(world), first=first, calls=calls):  # noqa: B023
            break
        end(world, how)
        world.assert_one_champion()
    assert first > 5


@pytest.mark.parametrize("how", ["resume", "abort"])
def test_killed_at_any_action_it_is_settled_under_a_registry_that_falls_silent(
    worlds: Iterator[World], how: str
) -> None:
    for fuse in itertools.count(1):
        for first, world in enumerate(worlds, start=1):
            try:
                begin(world, fuse=fuse)
                return
            except Killed:
                asked = silently(world, lambda: end(world, how), first=first, calls=FOR_EVER)  # noqa: B023
            end(world, how)
            world.assert_one_champion()
            if not asked:
                break


@pytest.mark.parametrize("how", ["resume", "abort"])
def test_once_promoted_the_old_champion_gets_no_traffic_back(
    worlds: Iterator[World], how: str
) -> None:
    world = next(worlds)
    world.gateway.broken = {"retire"}
    begin(world)
    world.gateway.broken = set()
    assert silently(world, lambda: end(world, how), first=1, calls=FOR_EVER)
    assert world.registry.champion() == "2"
    world.assert_one_champion()


def test_another_champion_that_was_heard_of_once_gets_the_traffic(worlds: Iterator[World]) -> None:
    """Version 3 took over unseen; then the registry says so once, and no more."""
    world = next(worlds)
    world.serve("3")
    world.gateway.retire("1")
    assert silently(world, lambda: begin(world), first=4, calls=FOR_EVER)
    world.assert_one_champion()


def test_a_promotion_that_can_not_be_cleaned_up_is_not_forgotten(worlds: Iterator[World]) -> None:
    world = next(worlds)
    world.gateway.broken = {"retire"}
    begin(world)
    with pytest.raises(GatewayError, match="the rollout of version 2 has to end first: promoted"):
        end(world, "rollout")
    world.gateway.broken = set()
    end(world, "rollout")
    assert world.registry.champion() == "3"
    world.assert_one_champion()
