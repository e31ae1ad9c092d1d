"""`kontinual rollout`, as a person sees it."""

from pathlib import Path

import pytest
from rollout_world import World
from typer.testing import CliRunner

from kontinual.cli import rollout as command
from kontinual.rollout import FolderStore, rollout
from kontinual.settings import Settings

EXAMPLE = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")


@pytest.fixture
def kontinual(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The command, at work on the world instead of on this machine's stack."""
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path))
    monkeypatch.setenv("KONTINUAL_SPEEDUP", "1e6")
    monkeypatch.setenv("COLUMNS", "200")
    world.store = FolderStore.of(Settings(), "flights")

    def parts(*_: object) -> dict[str, object]:
        return world.parts_of_abort

    monkeypatch.setattr(command, "collaborators", parts)
    return world


def say(*words: str) -> str:
    result = CliRunner().invoke(command.app, [*words, EXAMPLE], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def die_at_half(world: World) -> None:
    sleep = world.sleep

    def die(seconds: float) -> None:
        sleep(seconds)
        if world.gateway.weights().get("2") == 50:
            world.sleep = sleep  # type: ignore[method-assign]
            raise SystemExit

    world.sleep = die  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        rollout(world.loop, champion="1", challenger="2", **world.parts)


def test_before_the_first_rollout_there_is_nothing_to_show(kontinual: World) -> None:
    assert "flights: no rollout yet" in say("status")
    assert "no rollout is unfinished" in say("resume")
    assert "no rollout is unfinished" in say("abort")


def test_a_rollout_whose_process_died_is_shown_with_the_way_on(kontinual: World) -> None:
    die_at_half(kontinual)
    shown = say("status")
    assert "challenger 2 against champion 1: observing" in shown
    assert "25 %" in shown
    assert "passed" in shown
    assert "No process is at work on it" in shown
    assert "kontinual rollout resume" in shown


def test_abort_puts_the_champion_back(kontinual: World) -> None:
    die_at_half(kontinual)
    assert "rolled_back: aborted by " in say("abort")
    kontinual.assert_one_champion()
    assert "rolled_back" in say("status")


def test_resume_goes_on_to_the_end(kontinual: World) -> None:
    die_at_half(kontinual)
    assert "promoted: version 2 passed every step and took over from 1" in say("resume")
    assert kontinual.registry.champion() == "2"
    kontinual.assert_one_champion()
