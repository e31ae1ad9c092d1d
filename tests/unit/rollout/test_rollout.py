"""A rollout, told by what a champion and a challenger do."""

from datetime import timedelta
from pathlib import Path

import pytest
from rollout_world import Behaviour, World

from kontinual.errors import GatewayError, KontinualError
from kontinual.rollout import (
    Phase,
    RolloutBusy,
    RolloutResult,
    RolloutState,
    abort,
    resume,
    rollout,
)
from kontinual.spec import Outcome


def run(world: World, challenger: str = "2", champion: str | None = "1") -> RolloutResult:
    return rollout(world.loop, champion=champion, challenger=challenger, **world.parts)


def test_a_challenger_as_good_as_the_champion_is_promoted_step_by_step(world: World) -> None:
    result = run(world)
    assert result.outcome is Outcome.PROMOTED
    assert [(s.weight, s.verdict) for s in result.steps] == [
        (w, "passed") for w in (5, 25, 50, 100)
    ]
    assert all(s.requests >= 60 for s in result.steps)
    assert all((s.ended_at - s.started_at).total_seconds() >= 10 for s in result.steps)
    assert world.registry.champion() == "2"
    world.assert_one_champion()


def test_inverted_scores_are_rolled_back_at_the_first_step(world: World) -> None:
    world.traffic.versions["2"] = Behaviour(score=0.7)
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert [(s.weight, s.verdict) for s in result.steps] == [(5, "failed")]
    assert result.steps[0].requests < 100
    assert "against 0.3" in result.reason
    assert world.registry.champion() == "1"
    world.assert_one_champion()


def test_scores_that_moved_as_the_evaluation_said_are_promoted(world: World) -> None:
    world.traffic.versions["2"] = Behaviour(score=0.7)
    result = rollout(world.loop, champion="1", challenger="2", score_gap=0.4, **world.parts)
    assert result.outcome is Outcome.PROMOTED, result.reason
    assert "evaluated +0.400" in result.steps[0].reason
    world.assert_one_champion()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Behaviour(errors=0.3), "canary requests failed"),
        (Behaviour(seconds=0.4), "canary requests took over"),
        (Behaviour(log_loss=1.2), "log loss 1.200"),
    ],
)
def test_a_worse_challenger_is_rolled_back_with_the_reason(
    world: World, how: Behaviour, said: str
) -> None:
    world.traffic.versions["1"] = Behaviour(log_loss=0.4)
    world.traffic.versions["2"] = how
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert said in result.reason
    world.assert_one_champion()


def test_without_requests_a_step_waits_and_then_rolls_back(world: World) -> None:
    world.traffic.per_read = 0
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert [(s.weight, s.verdict) for s in result.steps] == [(5, "inconclusive")]
    assert "0 of 60 canary answers" in result.reason
    assert (world.now - result.steps[0].started_at).total_seconds() >= 90
    world.assert_one_champion()


def test_without_prometheus_no_weight_moves_and_it_rolls_back(world: World) -> None:
    world.traffic.down = True
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "no step begins unwatched: Prometheus is down" in result.reason
    assert {"1": 95, "2": 5} not in world.gateway.history()
    world.assert_one_champion()


def test_a_canary_that_dies_under_the_gateway_is_seen_by_the_gateway_alone(world: World) -> None:
    answer = world.traffic._answer

    def dead(counts: dict[str, float], how: Behaviour, requests: int) -> None:
        before = counts.get("p|requests", 0)
        answer(counts, how, requests)
        grown = counts["p|requests"] - before
        for kind in ("gateway_requests", "gateway_errors") if how.errors == 1 else ():
            counts[f"e|{kind}"] = counts.get(f"e|{kind}", 0) + grown
        if how.errors == 1:
            counts["p|requests"] = counts["p|errors"] = 0

    world.traffic._answer = dead  # type: ignore[method-assign]
    world.traffic.versions["2"] = Behaviour(errors=1)
    result = run(world)
    assert "100.0 % of" in result.reason
    assert result.steps[0].verdict == "failed"
    world.assert_one_champion()


def test_the_first_version_ever_gets_all_the_traffic_and_becomes_champion(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = World(tmp_path_factory.mktemp("first"), world.loop, v1=Behaviour())
    result = run(first, "1", None)
    assert result.outcome is Outcome.PROMOTED
    assert [(s.weight, s.verdict) for s in result.steps] == [(100, "passed")]
    assert result.champion == "1"
    first.assert_one_champion()


def test_another_champion_than_the_one_judged_against_is_no_match(world: World) -> None:
    world.gateway.deploy("3", world.registry.package("3"))
    world.gateway.shift({"3": 100})
    world.registry.crown("3")
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason == "judged against champion 1, but champion 3 is in the registry"
    world.assert_one_champion()


def test_a_champion_changed_during_the_last_step_stays_champion(world: World) -> None:
    shift = world.gateway.shift

    def overtaken(weights: dict[str, int]) -> None:
        shift(weights)
        if weights == {"2": 100}:
            world.registry.crown("3")

    world.gateway.shift = overtaken  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "champion is 3, not 1" in result.reason
    assert world.registry.champion() == "3"
    world.assert_one_champion()


def test_a_champion_changed_meanwhile_stays_champion(world: World) -> None:
    swap = world.registry.set_champion

    def beaten(version: str, *, expected: str | None) -> None:
        world.registry.crown("3")
        swap(version, expected=expected)

    world.registry.set_champion = beaten  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "champion is 3, not 1" in result.reason
    assert world.registry.champion() == "3"
    world.assert_one_champion()


def test_a_predictor_that_does_not_come_up_changes_nothing(world: World) -> None:
    deploy = world.gateway.deploy

    def refuse(version: str, package: object) -> None:
        if version == "2":
            raise GatewayError("predictor 2 did not become ready")
        deploy(version, package)  # type: ignore[arg-type]

    world.gateway.deploy = refuse  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason == "predictor 2 did not become ready"
    world.assert_one_champion()


def test_a_silent_registry_stops_no_retreat(world: World) -> None:
    world.traffic.versions["2"] = Behaviour(score=0.9)
    read = world.traffic.read

    def read_then_lose_the_registry(versions: list[str]) -> object:
        world.registry.down = True
        return read(versions)

    world.traffic.read = read_then_lose_the_registry  # type: ignore[method-assign,assignment]
    assert run(world).outcome is Outcome.ROLLED_BACK
    world.registry.down = False
    world.assert_one_champion()


def test_when_not_even_the_way_back_works_the_state_waits_for_resume(world: World) -> None:
    shift = world.gateway.shift

    def lost(weights: dict[str, int]) -> None:
        shift(weights)
        world.gateway.broken = {"shift", "weights"}

    world.gateway.shift = lost  # type: ignore[method-assign]
    with pytest.raises(GatewayError, match="shift fails"):
        run(world)
    state = world.store.load()
    assert state is not None
    assert state.phase is Phase.ROLLING_BACK
    world.gateway.shift = shift  # type: ignore[method-assign]
    world.gateway.broken = set()
    resumed = resume(world.loop, **world.parts)
    assert resumed is not None
    assert resumed.outcome is Outcome.ROLLED_BACK
    world.assert_one_champion()


def test_a_promotion_stands_even_if_the_old_predictor_will_not_go(world: World) -> None:
    world.gateway.broken = {"retire"}
    result = run(world)
    assert result.outcome is Outcome.PROMOTED
    assert "has to clean up: retire fails" in result.reason
    world.gateway.broken = set()
    again = resume(world.loop, **world.parts)
    assert again is not None
    assert again.outcome is Outcome.PROMOTED
    world.assert_one_champion()


def test_what_was_left_unfinished_is_settled_by_the_next_rollout(world: World) -> None:
    world.gateway.broken = {"retire"}
    run(world)
    world.gateway.broken = set()
    result = run(world, "3", "2")
    assert result.outcome is Outcome.PROMOTED
    assert result.champion == "3"
    world.assert_one_champion()


def test_two_rollouts_at_once_are_refused(world: World) -> None:
    with world.store.lock(), pytest.raises(RolloutBusy, match="another process is at work"):
        run(world)
    assert world.store.load() is None


def test_the_champion_can_not_challenge_itself(world: World) -> None:
    with pytest.raises(KontinualError, match="version 1 is champion already"):
        run(world, "1")


def test_with_nothing_unfinished_there_is_nothing_to_resume_or_abort(world: World) -> None:
    assert resume(world.loop, **world.parts) is None
    assert abort(world.loop, **world.parts_of_abort, who="Ada") is None
    run(world)
    assert resume(world.loop, **world.parts) is None
    assert abort(world.loop, **world.parts_of_abort, who="Ada") is None


def test_a_running_rollout_ends_when_asked_to_abort(world: World) -> None:
    sleep = world.sleep

    def ask_at_the_second_step(seconds: float) -> None:
        sleep(seconds)
        if world.gateway.weights().get("2") == 25:
            world.store.ask_to_abort("Ada")

    world.sleep = ask_at_the_second_step  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("aborted by Ada at ")
    world.assert_one_champion()


def test_ctrl_c_rolls_back_before_the_process_ends(world: World) -> None:
    sleep = world.sleep

    def interrupt_at_half(seconds: float) -> None:
        sleep(seconds)
        if world.gateway.weights().get("2") == 50:
            world.sleep = sleep  # type: ignore[method-assign]
            raise KeyboardInterrupt

    world.sleep = interrupt_at_half  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(world)
    world.assert_one_champion()
    state = world.store.load()
    assert state is not None
    assert state.reason == "interrupted by Ctrl-C"


def test_without_the_collector_a_step_waits_and_then_rolls_back(world: World) -> None:
    world.labels.down = True
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert [(s.weight, s.verdict) for s in result.steps] == [(5, "inconclusive")]
    assert "the collector is down" in result.reason
    world.assert_one_champion()


def test_a_collector_that_comes_back_in_time_holds_nothing_up(world: World) -> None:
    back, sleep = world.now + timedelta(seconds=40), world.sleep

    def until_then(seconds: float) -> None:
        sleep(seconds)
        world.labels.down = world.now < back

    world.labels.down = True
    world.sleep = until_then  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.PROMOTED
    assert result.steps[0].ended_at >= back


def test_labels_that_do_not_come_are_not_waited_for(world: World) -> None:
    world.traffic.versions |= {v: Behaviour(log_loss=9.0, labels_after=3600) for v in "12"}
    result = run(world)
    assert result.outcome is Outcome.PROMOTED
    assert "log loss" not in result.reason


def test_labels_of_a_step_that_has_ended_still_tell(world: World) -> None:
    """They come 15 s after the predictions: when the second step is on its way."""
    world.traffic.versions["1"] = Behaviour(log_loss=0.4, labels_after=15)
    world.traffic.versions["2"] = Behaviour(log_loss=1.2, labels_after=15)
    result = run(world)
    assert [(s.weight, s.verdict) for s in result.steps] == [(5, "passed"), (25, "failed")]
    assert "log loss 1.200" in result.reason
    world.assert_one_champion()


def test_an_unfinished_challenger_is_not_promoted_by_the_way(world: World) -> None:
    """A process died while version 2 was observed; version 3 is what is wanted now."""
    read = world.traffic.read

    def die(versions: list[str]) -> object:
        if world.gateway.weights().get("2") == 50:
            world.traffic.read = read  # type: ignore[method-assign]
            raise SystemExit
        return read(versions)

    world.traffic.read = die  # type: ignore[method-assign,assignment]
    with pytest.raises(SystemExit):
        run(world, "2")
    assert world.gateway.weights() == {"1": 50, "2": 50}
    assert run(world, "3").outcome is Outcome.PROMOTED
    assert world.registry.swaps == ["3"]
    world.assert_one_champion()


def test_an_abort_after_the_promotion_finishes_it_and_says_so(world: World) -> None:
    swap = world.registry.set_champion

    def swap_and_die(version: str, *, expected: str | None) -> None:
        swap(version, expected=expected)
        raise SystemExit

    world.registry.set_champion = swap_and_die  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        run(world)
    result = abort(world.loop, **world.parts_of_abort, who="Ada")
    assert result is not None
    assert result.outcome is Outcome.PROMOTED
    assert "(then aborted by Ada, too late to undo)" in result.reason
    assert world.registry.champion() == "2"
    world.assert_one_champion()


def test_a_damaged_state_is_named_and_not_overwritten(world: World) -> None:
    world.store.folder.mkdir()
    world.store.path.write_text("{}")
    with pytest.raises(KontinualError, match=r"rollout\.json: not the state of a rollout"):
        run(world)
    assert world.store.path.read_text() == "{}"


def test_a_rollout_taken_up_on_another_machine_fetches_the_package_anew(
    world: World, tmp_path: Path
) -> None:
    deploy, given = world.gateway.deploy, []

    def remember(version: str, package: Path) -> None:
        given.append(package)
        deploy(version, package)

    save = world.store.save

    def die(state: RolloutState) -> None:
        save(state)
        raise SystemExit

    world.gateway.deploy = remember  # type: ignore[method-assign]
    world.store.save = die  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        run(world)
    world.store.save = save  # type: ignore[method-assign]
    world.registry.package = lambda version: tmp_path / "fetched"  # type: ignore[method-assign]
    resumed = resume(world.loop, **world.parts)
    assert resumed is not None
    assert resumed.outcome is Outcome.PROMOTED
    assert given == [tmp_path / "fetched"]
