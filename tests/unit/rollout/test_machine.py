"""Any sequence of good and bad challengers, crashes, resumptions and outages."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rollout_world import Behaviour, Killed, World

from kontinual.errors import KontinualError
from kontinual.rollout import abort, resume, rollout
from kontinual.spec import Loop, Outcome, load_loop

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
HARMFUL = [Behaviour(errors=0.5), Behaviour(score=0.8), Behaviour(seconds=0.6)]


class Rollouts(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
        plan = {
            "steps": [20, 100],
            "min_requests": 40,
            "step_duration": "1s",
            "step_timeout": "30s",
        }
        loop = Loop.model_validate({**tree, "rollout": plan})
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder, loop, v1=Behaviour())
        self.world.serve("1")
        self.latest = 1
        self.harmful: set[str] = set()

    @rule(harm=st.sampled_from([None, None, *HARMFUL]), fuse=st.integers(0, 40))
    def roll_out(self, harm: Behaviour | None, fuse: int) -> None:
        """With a fuse the process is killed at some action; 0 burns for ever."""
        self.latest += 1
        challenger = str(self.latest)
        self.world.traffic.versions[challenger] = harm or Behaviour()
        if harm:
            self.harmful.add(challenger)
        parts = {**self.world.parts, **self.world.mortal(fuse)}
        try:
            rollout(
                self.world.loop,
                champion=self.world.registry.champion(),
                challenger=challenger,
                **parts,
            )
        except Killed:
            return
        self.world.assert_one_champion()

    @rule(fuse=st.integers(0, 20))
    def take_up_again(self, fuse: int) -> None:
        try:
            resume(self.world.loop, **{**self.world.parts, **self.world.mortal(fuse)})
        except Killed:
            return
        self.world.assert_one_champion()

    @rule(fuse=st.integers(0, 20))
    def give_up(self, fuse: int) -> None:
        parts = {**self.world.parts_of_abort, **self.world.mortal(fuse)}
        try:
            abort(self.world.loop, **parts, who="Ada")
        except Killed:
            return
        self.world.assert_one_champion()

    @rule(which=st.sampled_from(["shift", "deploy", "retire", "weights"]))
    def gateway_fails_for_a_while(self, which: str) -> None:
        self.latest += 1
        challenger = str(self.latest)
        self.world.traffic.versions[challenger] = Behaviour()
        self.world.gateway.broken = {which}
        champion = self.world.registry.champion()
        try:
            rollout(self.world.loop, champion=champion, challenger=challenger, **self.world.parts)
        except KontinualError:
            pass
        finally:
            self.world.gateway.broken = set()

    @rule(fuse=st.integers(0, 20), first=st.integers(1, 6), calls=st.sampled_from([1, 2, 1000]))
    def give_up_while_the_registry_is_silent(self, fuse: int, first: int, calls: int) -> None:
        self.world.registry.fall_silent(first, calls=calls)
        try:
            self.give_up(fuse)
        except ConnectionError:
            pass
        finally:
            self.world.registry.speak()

    @rule(fuse=st.integers(0, 40), first=st.integers(1, 8), calls=st.sampled_from([1, 2, 1000]))
    def roll_out_while_the_registry_is_silent(self, fuse: int, first: int, calls: int) -> None:
        champion = self.world.registry.champion()
        self.latest += 1
        challenger = str(self.latest)
        self.world.traffic.versions[challenger] = Behaviour()
        self.world.registry.fall_silent(first, calls=calls)
        parts = {**self.world.parts, **self.world.mortal(fuse)}
        try:
            rollout(self.world.loop, champion=champion, challenger=challenger, **parts)
        except (ConnectionError, Killed):
            return
        finally:
            self.world.registry.speak()
        self.world.assert_one_champion()

    @invariant()
    def champion_is_deployed_and_traffic_is_whole(self) -> None:
        champion = self.world.registry.champion()
        assert champion in self.world.gateway.deployed()
        assert sum(self.world.gateway.weights().values()) == 100
        assert set(self.world.gateway.weights()) <= self.world.gateway.deployed()

    @invariant()
    def what_is_reported_is_what_is(self) -> None:
        state = self.world.store.load()
        if state is not None and state.phase.ended:
            promoted = self.world.registry.champion() == state.challenger
            assert (state.outcome is Outcome.PROMOTED) == promoted

    @invariant()
    def nothing_harmful_was_ever_promoted(self) -> None:
        assert not self.harmful & set(self.world.registry.swaps)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=25,
    stateful_step_count=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
