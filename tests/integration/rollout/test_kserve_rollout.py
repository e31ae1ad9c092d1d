"""A rollout on KServe, told by what the cluster does; in both of KServe's modes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kserve_world import TEAM, KServeWorld
from rollout_world import Behaviour

from kontinual.cluster import LeaseLost
from kontinual.errors import GatewayError
from kontinual.rollout import Phase, RolloutBusy, RolloutResult, rollout
from kontinual.spec import Loop, Outcome, load_loop
from tests.cluster.imitation.kserve.controller import Cluster
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [20, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "60s"}
SERVING = {"replicas": 3, "max_replicas": 6, "ready_timeout": "5m"}
ISVC = ("serving.kserve.io", "v1beta1", TEAM, "inferenceservices", "flights")


@pytest.fixture
def loop() -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "rollout": PLAN, "serving": SERVING})


def world_of(folder: Path, loop: Loop, **cluster: Any) -> KServeWorld:
    return KServeWorld(folder, loop, Cluster(**cluster))


@pytest.fixture(params=["Standard", "Knative"])
def world(request: pytest.FixtureRequest, tmp_path: Path, loop: Loop) -> Iterator[KServeWorld]:
    with world_of(tmp_path, loop, mode=request.param) as world:
        world.serve("1")
        world.package("2")
        yield world


@pytest.fixture
def standard(tmp_path: Path, loop: Loop) -> Iterator[KServeWorld]:
    with world_of(tmp_path, loop) as world:
        world.serve("1")
        world.package("2")
        yield world


def run(world: KServeWorld, challenger: str = "2", champion: str | None = "1") -> RolloutResult:
    parts = world.process()
    return rollout(world.loop, champion=champion, challenger=challenger, **parts)


def test_a_good_challenger_is_promoted_step_by_step(world: KServeWorld) -> None:
    result = run(world)
    assert result.outcome is Outcome.PROMOTED
    assert [(s.weight, s.verdict) for s in result.steps] == [(20, "passed"), (100, "passed")]
    assert world.registry.champion() == "2"
    world.assert_one_champion()


def test_one_rollout_follows_another(world: KServeWorld) -> None:
    for champion, challenger in (("1", "2"), ("2", "3"), ("3", "4")):
        world.package(challenger)
        assert run(world, challenger, champion).outcome is Outcome.PROMOTED
        world.assert_one_champion()


def test_an_earlier_version_can_be_rolled_out_again(world: KServeWorld) -> None:
    run(world)
    assert run(world, "1", "2").outcome is Outcome.PROMOTED
    world.assert_one_champion()


def test_promotion_starts_no_pod_anew(world: KServeWorld) -> None:
    before: set[str] = set()
    sleep = world.sleep

    def remember(seconds: float) -> None:
        nonlocal before
        sleep(seconds)
        if world.registry.champion() == "1":
            before = world.pods("2")

    world.sleep = remember  # type: ignore[method-assign]
    assert run(world).outcome is Outcome.PROMOTED
    world.assert_one_champion()
    assert before
    assert before <= world.pods("2")
    assert len(world.pods("2")) == len(before)


def test_what_an_operator_changed_at_the_stable_predictor_stays(world: KServeWorld) -> None:
    found = world.service
    found["spec"]["predictor"]["nodeSelector"] = {"disk": "fast"}
    found["spec"]["predictor"]["model"]["resources"]["limits"]["memory"] = "3Gi"
    world.objects.apply(INFERENCE_SERVICES, found)
    world.settle()
    assert run(world).outcome is Outcome.PROMOTED
    predictor = world.service["spec"]["predictor"]
    assert predictor["nodeSelector"] == {"disk": "fast"}
    assert predictor["model"]["resources"]["limits"]["memory"] == "3Gi"
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 6)


def test_a_bad_challenger_is_rolled_back_and_leaves_nothing(world: KServeWorld) -> None:
    world.traffic.versions["2"] = Behaviour(score=0.8)
    before = world.service["spec"]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "mean score" in result.reason
    world.assert_one_champion()
    assert world.service["spec"] == before


def test_a_challenger_that_fails_with_all_traffic_is_rolled_back_too(world: KServeWorld) -> None:
    read = world.traffic.read

    def fail_at_the_end(versions: Any) -> Any:
        if world.observer.weights() == {"2": 100}:
            world.traffic.versions["2"] = Behaviour(errors=0.5)
        return read(versions)

    world.traffic.read = fail_at_the_end  # type: ignore[method-assign]
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("at 100 %")
    world.assert_one_champion()


def test_a_challenger_that_can_not_be_loaded_is_told_by_its_own_words(world: KServeWorld) -> None:
    world.fates["2"] = "crash"
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("version 2 can not be loaded: ")
    assert "model.onnx: damaged" in result.reason
    world.assert_one_champion()


def test_a_challenger_that_never_gets_ready_is_given_up_with_the_reason(
    world: KServeWorld,
) -> None:
    world.fates["2"] = "pending"
    began = world.now
    result = run(world)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "version 2 is not deployed after 300 s" in result.reason
    assert "insufficient memory" in result.reason
    assert (world.now - began).total_seconds() >= 300
    world.assert_one_champion()


def test_the_first_version_makes_the_service(world: KServeWorld, tmp_path: Path) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.settle()
    result = run(world, "2", None)
    assert result.outcome is Outcome.PROMOTED
    world.assert_one_champion()
    uri = world.service["spec"]["predictor"]["model"]["storageUri"]
    copy = tmp_path / "models" / uri.removeprefix("s3://models/") / "package.json"
    assert json.loads(copy.read_text()) == {"version": "2"}


def test_a_first_version_that_can_not_be_loaded_leaves_no_service(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.settle()
    world.fates["2"] = "crash"
    result = run(world, "2", None)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "model.onnx: damaged" in result.reason
    assert world.objects.get(INFERENCE_SERVICES, "flights") is None


def test_a_missing_runtime_is_told_and_leaves_no_service(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.cluster.runtimes = set()
    result = run(world, "2", None)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "InvalidSpec (RuntimeNotRecognized: Waiting for runtime)" in result.reason
    assert world.objects.get(INFERENCE_SERVICES, "flights") is None


def test_a_service_that_was_lost_comes_back_with_the_champion(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.settle()
    assert run(world).outcome is Outcome.PROMOTED
    world.assert_one_champion()


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"canaries": False}, "the cluster dropped spec.canary; canaries .* need KServe 0.21"),
        ({"splits": False}, r"does not know version 2 \(KServe splits .* from 0.21 on\)"),
        ({"gateway_api": False}, "has no HTTPRoute flights: .*enableGatewayApi: true"),
    ],
)
def test_a_cluster_that_can_not_split_traffic_is_refused(
    tmp_path: Path, loop: Loop, cluster: dict[str, bool], said: str
) -> None:
    with world_of(tmp_path, loop, **cluster) as world:
        world.package("2")
        if cluster.get("gateway_api", True):
            world.serve("1")
        deployed = "2" if cluster.get("gateway_api", True) else "1"
        with pytest.raises(GatewayError, match=said):
            world.observer.deploy(deployed, world.package(deployed))
        assert world.service["spec"]["predictor"]["labels"]["kontinual.dev/version"] == "1"


def test_a_transformer_is_refused_before_anything_changes(standard: KServeWorld) -> None:
    found = standard.service
    found["spec"]["transformer"] = {"containers": [{"name": "t"}]}
    standard.objects.apply(INFERENCE_SERVICES, found)
    result = run(standard)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "has a transformer: KServe's canaries in Standard mode would go past it" in result.reason
    assert "canary" not in standard.service["spec"]


def test_a_service_of_somebody_else_is_left_alone(standard: KServeWorld) -> None:
    found = standard.service
    del found["spec"]["predictor"]["labels"]
    standard.objects.apply(INFERENCE_SERVICES, found)
    standard.settle()
    before = standard.service["spec"]
    with pytest.raises(GatewayError, match="it was not made by Kontinual"):
        run(standard)
    assert standard.service["spec"] == before


def test_a_service_that_was_stopped_by_hand_stays_stopped(world: KServeWorld) -> None:
    found = world.service
    found["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    world.objects._call(INFERENCE_SERVICES, "PUT", "flights", body=found)
    world.settle()
    with pytest.raises(GatewayError, match="is stopped by its annotation"):
        run(world)
    assert world.service["metadata"]["annotations"]["serving.kserve.io/stop"] == "true"


def test_without_a_controller_it_says_so(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.broken = True
    with pytest.raises(GatewayError, match="is its controller at work"):
        world.observer.deploy("1", world.package("1"))


def test_someone_elses_change_during_a_write_stops_the_rollout(world: KServeWorld) -> None:
    """The write meets a conflict, and the spec is not the one that was read."""

    def change_by_hand() -> None:
        found = world.service
        found["spec"]["predictor"]["minReplicas"] = 2
        world.objects.apply(INFERENCE_SERVICES, found)

    meet_conflicts(world, change_by_hand, times=1)
    result = run(world)
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
    assert run(world).outcome is Outcome.PROMOTED
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
    assert run(world).outcome is Outcome.PROMOTED
    world.assert_one_champion()


def test_routes_that_their_gateway_has_not_accepted_are_not_in_force(
    standard: KServeWorld,
) -> None:
    standard.observer.deploy("2", standard.package("2"))
    standard.edge.held = True
    with pytest.raises(GatewayError, match=r"HTTPRoute flights\S* is not in force"):
        standard.observer.shift({"1": 80, "2": 20})
    standard.edge.held = False
    standard.edge.step()
    standard.observer.shift({"1": 80, "2": 20})
    assert standard.routes["flights"] == {"flights-predictor": 80, "flights-v2-predictor": 20}


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
    from kontinual.rollout import RolloutState

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
