"""A run ends without a word to its rollout, and no canary keeps traffic that nobody watches."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kserve_world import KServeWorld

from kontinual.errors import KontinualError
from kontinual.lake import Lake
from kontinual.rollout import rollout
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop
from kontinual.steps import abort as step
from kontinual.steps.rollout import STOP
from kontinual.steps.rollout import rollout as rollout_step
from kontinual.trigger.__main__ import _retreat
from kontinual.trigger.contracts import Run
from tests.cluster.imitation.kserve.controller import Cluster
from tests.kube.clients import Killed

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [50, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "60s"}
RUN = "flights-20260101t000000-7"


@pytest.fixture
def loop() -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "rollout": PLAN})


@pytest.fixture
def lake(tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Of a run that has trained version 2."""
    monkeypatch.setenv("KONTINUAL_LAKE", (tmp_path / "lake").as_uri())
    lake = Lake((tmp_path / "lake").as_uri(), loop)
    lake.journal(RUN).note("train", {"version": "2"})
    return lake


def kill_with_a_canary(world: KServeWorld) -> None:
    """Kill a rollout at the first request after which the canary has half of the traffic."""
    world.folder.mkdir()
    world.serve("1")
    world.package("2")
    fuse = 0
    while world.observer.weights() != {"1": 50, "2": 50}:
        fuse += 1
        try:
            rollout(world.loop, champion="1", challenger="2", **world.process(fuse=fuse))
        except Killed:
            world.alive.clear()
        world.settle()


class Registry:
    """The world's, with the alias of a challenger."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self.challenger: str | None = "2"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def set_challenger(self, version: str | None) -> None:
        self.challenger = version


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_the_canary_of_a_killed_step_is_taken_back(
    tmp_path: Path, loop: Loop, lake: Lake, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KServeWorld(tmp_path / "world", loop, Cluster(mode=mode), direct=True) as world:
        kill_with_a_canary(world)
        parts = world.process()
        registry = parts["registry"] = Registry(parts["registry"])
        monkeypatch.setattr(step, "collaborators", lambda *_: parts)
        result = step.abort(str(EXAMPLE), RUN, by="ana")
        assert result is not None
        assert result.reason == "aborted by ana"
        world.assert_one_champion()
        assert world.registry.champion() == "1"
        assert registry.challenger is None
        assert step.abort(str(EXAMPLE), RUN, by="ana") is None, "nothing is left"
        assert lake.journal(RUN).notes()[STOP]["by"] == "ana"


def test_another_runs_rollout_is_left_alone(
    tmp_path: Path, loop: Loop, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.journal(RUN).note("train", {"version": "3"})
    with KServeWorld(tmp_path / "world", loop, Cluster(mode="Standard"), direct=True) as world:
        kill_with_a_canary(world)
        monkeypatch.setattr(step, "collaborators", lambda *_: world.process())
        assert step.abort(str(EXAMPLE), RUN) is None
        assert world.observer.weights() == {"1": 50, "2": 50}


def test_a_run_that_has_trained_nothing_asks_no_cluster(
    tmp_path: Path, loop: Loop, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "collaborators", lambda *_: pytest.fail("it asks"))
    assert step.abort(str(EXAMPLE), "flights-20260101t000000-8") is None


def test_the_trigger_starts_it_as_its_command_line_wants_it(lake: Lake, loop: Loop) -> None:
    run = Run(id="flights-20260101t000000-8", trigger=8, accepted_at=datetime.now(UTC))
    retreat = _retreat(Settings(gateway="kserve"), str(EXAMPLE))
    assert not retreat.is_over(run)
    retreat._tries[run.id].process.wait(120)  # type: ignore[attr-defined]
    assert retreat.is_over(run)
    assert _retreat(Settings(gateway="envoy"), str(EXAMPLE)).is_over(run), "a signal reaches it"


def test_no_rollout_begins_of_a_run_that_was_asked_to_end(tmp_path: Path, lake: Lake) -> None:
    """Its pod may live on for a moment after it was terminated."""
    lake.journal(RUN).note(STOP, {"by": "ana", "at": datetime.now(UTC).isoformat()})
    with pytest.raises(KontinualError, match=rf"run {RUN} was asked to end by ana"):
        rollout_step(str(EXAMPLE), RUN, version="2", report=tmp_path / "report.md")
