"""A cluster, or a service, that no rollout is done on: it is told why, and left as it was."""

from pathlib import Path

import pytest
from kserve_world import KServeWorld

from kontinual.errors import GatewayError
from kontinual.spec import Loop, Outcome
from tests.cluster.imitation.kserve.controller import Cluster
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES


def test_a_missing_runtime_is_told_and_leaves_no_service(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.cluster.runtimes = set()
    result = world.rollout("2", None)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "InvalidSpec (RuntimeNotRecognized: Waiting for runtime)" in result.reason
    assert world.objects.get(INFERENCE_SERVICES, "flights") is None


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
    with KServeWorld(tmp_path, loop, Cluster(**cluster)) as world:
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
    result = standard.rollout()
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
        standard.rollout()
    assert standard.service["spec"] == before


def test_a_service_that_was_stopped_by_hand_stays_stopped(world: KServeWorld) -> None:
    found = world.service
    found["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    world.objects._call(INFERENCE_SERVICES, "PUT", "flights", body=found)
    world.settle()
    with pytest.raises(GatewayError, match="is stopped by its annotation"):
        world.rollout()
    assert world.service["metadata"]["annotations"]["serving.kserve.io/stop"] == "true"


def test_without_a_controller_it_says_so(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.broken = True
    with pytest.raises(GatewayError, match="is its controller at work"):
        world.observer.deploy("1", world.package("1"))


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
