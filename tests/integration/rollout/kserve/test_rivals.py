"""Others write at the same time, answers get lost, a lease is lost: one champion is left."""

from typing import Any

import pytest
from kserve_world import TEAM, KServeWorld

from kontinual.cluster import LeaseLost
from kontinual.rollout import Phase, RolloutBusy, RolloutState, rollout
from kontinual.spec import Outcome
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES


def test_someone_elses_change_during_a_write_stops_the_rollout(world: KServeWorld) -> None:
    """The write meets a conflict, and the spec is not the one that was read."""

    def change_by_hand() -> None:
        found = world.service
        found["spec"]["predictor"]["minReplicas"] = 2
        world.objects.apply(INFERENCE_SERVICES, found)

    meet_conflicts(world, change_by_hand, times=1)
    result = world.rollout()
    assert result.outcome is Outcome.ROLLED_BACK
    assert "was changed by someone else at the same time" in result.reason
    world.assert_one_champion()
    assert world.service["spec"]["predictor"]["minReplicas"] == 2


def test_a_status_that_moves_during_a_write_is_no_conflict(world: KServeWorld) -> None:
    count = iter(range(1000))

    def touch_status() -> None:
        found = world.service
        status = {**found["status"], "annotations": {"seen": str(next(count))}}
        world.objects.status(INFERENCE_SERVICES, found, status)

    meet_conflicts(world, touch_status, times=100)
    assert world.rollout().outcome is Outcome.PROMOTED
    world.assert_one_champion()


def meet_conflicts(world: KServeWorld, meanwhile: Any, *, times: int) -> None:
    """Let something happen between reading and writing the service, at every other write."""
    left, flip = [times], [False]

    def admit(wanted: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
        return wanted

    replace = world.server.store.replace

    def late(key: Any, wanted: Any, **options: Any) -> Any:
        ours = key.plural == "inferenceservices" and not options.get("part")
        flip[0] = not flip[0] if ours else flip[0]
        if ours and flip[0] and left[0] and not busy:
            left[0] -= 1
            busy.append(1)
            try:
                meanwhile()
            finally:
                busy.clear()
        return replace(key, wanted, **options)

    busy: list[int] = []
    world.server.store.replace = late  # type: ignore[method-assign]


@pytest.mark.parametrize("after", [False, True])
def test_lost_answers_and_errors_of_the_server_are_survived(
    world: KServeWorld, after: bool
) -> None:
    for path in ("inferenceservices/flights$", "configmaps", "leases"):
        world.server.fail("PUT", path, status=0, after=after, times=2)
        world.server.fail("PUT", path, status=503, after=after, times=1)
        world.server.fail("GET", path, status=500, times=2)
    assert world.rollout().outcome is Outcome.PROMOTED
    world.assert_one_champion()


def test_a_writer_that_lost_its_lease_writes_no_more(world: KServeWorld) -> None:
    parts = world.process()
    api = parts["store"]._lease._api
    lease = ("coordination.k8s.io", "v1", TEAM, "leases", "rollout")
    sleep = world.sleep

    def stolen(seconds: float) -> None:
        sleep(seconds)
        if world.observer.weights().get("2") == 20 and before == [None]:
            api.patch_namespaced_custom_object(*lease, {"spec": {"holderIdentity": "another"}})
            parts["store"]._lease.renew()
            before[0] = (world.service["spec"], world.server.store.find)

    before: list[Any] = [None]
    parts["sleep"] = stolen
    with pytest.raises(LeaseLost):
        rollout(world.loop, champion="1", challenger="2", **parts)
    assert world.service["spec"] == before[0][0]
    assert world.registry.champion() == "1"
    state = world.process()["store"].load()
    assert state is not None
    assert state.phase is Phase.OBSERVING


def test_a_writer_that_was_asleep_finds_another_at_work(world: KServeWorld) -> None:
    """Its clock stood still, so it believes in its lease; the ConfigMap says otherwise."""
    sleeper, other = world.process(), world.process()
    with sleeper["store"].lock():
        state = _some_state(world)
        sleeper["store"].save(state)
        sleeper["store"]._lease._clock = lambda: 0.0
        sleeper["store"]._lease.renew = lambda: None
        with other["store"].lock():
            other["store"].save(state.model_copy(update={"reason": "other"}))
            sleeper["store"]._lease._renewed = 0.0
            with pytest.raises(LeaseLost, match="is at work on this rollout now"):
                sleeper["store"].save(state)
            assert other["store"].load().reason == "other"


def _some_state(world: KServeWorld) -> Any:
    times = {"started_at": world.now, "updated_at": world.now}
    return RolloutState(
        loop="flights", champion="1", challenger="2", owner="1", packages={}, **times
    )


def test_two_rollouts_race_and_one_waits_its_turn(world: KServeWorld) -> None:
    world.package("3")
    first, second = world.process(), world.process()
    sleep, tried = world.sleep, []

    def race(seconds: float) -> None:
        sleep(seconds)
        first["store"]._lease.renew()
        if not tried:
            tried.append(1)
            with pytest.raises(RolloutBusy, match="another process is at work"):
                rollout(world.loop, champion="1", challenger="3", **{**second, "sleep": sleep})

    world.sleep = race  # type: ignore[method-assign]
    for store in (first["store"], second["store"]):
        store._lease._sleep = race
    first["sleep"] = race
    assert rollout(world.loop, champion="1", challenger="2", **first).outcome is Outcome.PROMOTED
    assert tried
    world.assert_one_champion()
