"""KServe in both modes keeps the contract of gateways, but for its first version."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gateway_contract import GatewayContract
from kserve_world import KServeWorld

from kontinual.errors import GatewayError
from kontinual.rollout import Gateway
from kontinual.rollout.kserve import KServeApi
from kontinual.spec import load_loop
from tests.cluster.imitation.kserve.controller import Cluster
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES, ROUTES

EXAMPLE = Path(__file__).parents[4] / "examples" / "flights" / "loop.yaml"


HalfWay = Callable[..., None]


class KServeContract(GatewayContract):
    mode: str

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[KServeWorld]:
        loop = load_loop(str(EXAMPLE))
        with KServeWorld(tmp_path, loop, Cluster(mode=self.mode), direct=True) as world:
            yield world

    @pytest.fixture
    def gateway(self, world: KServeWorld) -> Gateway:
        return world.observer

    @pytest.fixture
    def package(self, world: KServeWorld) -> Path:
        return world.package("1")

    def test_a_deployed_version_has_no_traffic_until_it_is_given_some(
        self, gateway: Gateway, package: Path
    ) -> None:
        """The first one has all of it: an InferenceService serves as soon as it is ready."""
        gateway.deploy("1", package)
        assert gateway.weights() == {"1": 100}
        gateway.deploy("2", package)
        assert gateway.weights() == {"1": 100}

    def test_weights_that_are_all_nothing_do_not_stop_the_service(
        self, gateway: Gateway, package: Path
    ) -> None:
        gateway.deploy("1", package)
        with pytest.raises(GatewayError, match="weights are percents of sum 100"):
            gateway.shift({"1": 0})
        assert gateway.weights() == {"1": 100}

    @pytest.mark.parametrize("version", ["", "V2", "2.0", "../2", "a-version-much-too-long"])
    def test_a_version_that_is_no_part_of_a_name_is_refused(
        self, gateway: Gateway, package: Path, version: str
    ) -> None:
        with pytest.raises(GatewayError, match="a version is a short lower-case name"):
            gateway.deploy(version, package)
        assert gateway.weights() == {}

    def test_a_package_that_is_not_there_is_refused_before_anything_is_made(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        with pytest.raises(GatewayError, match="version 1 has no model package here"):
            gateway.deploy("1", tmp_path / "nowhere")
        assert gateway.weights() == {}


class TestStandard(KServeContract):
    mode = "Standard"

    @pytest.fixture
    def half_way_before(self, world: KServeWorld, monkeypatch: pytest.MonkeyPatch) -> HalfWay:
        """Lets KServe have written the first of its two routes when so many were read."""

        def call(read: int, *, percent: int) -> None:
            reads, plain = count(), KServeApi.route

            def route(api: KServeApi, name: str) -> dict[str, Any] | None:
                if next(reads) == read:
                    found = world.service
                    found["spec"]["canary"][0]["trafficPercent"] = percent
                    world.objects.apply(INFERENCE_SERVICES, found)
                    first = world.objects.get(ROUTES, f"{world.loop.name}-predictor")
                    stable, canary = first["spec"]["rules"][0]["backendRefs"]
                    stable["weight"], canary["weight"] = 100 - percent, percent
                    world.objects.apply(ROUTES, first)
                    world.edge.step()
                return plain(api, name)

            monkeypatch.setattr(KServeApi, "route", route)

        return call

    def test_pods_of_a_canary_follow_its_traffic(
        self, world: KServeWorld, gateway: Gateway, package: Path
    ) -> None:
        gateway.deploy("1", package)
        found = world.service
        found["spec"]["predictor"]["minReplicas"] = 4
        world.objects.apply(INFERENCE_SERVICES, found)
        gateway.deploy("2", package)
        for share, pods in ((5, 1), (50, 2), (100, 4), (0, 1)):
            gateway.shift({"1": 100 - share, "2": share})
            world.settle()
            assert len(world.pods("2")) == pods

    @pytest.mark.parametrize("read", range(4))
    def test_weights_are_known_while_kserve_writes_the_routes(
        self, gateway: Gateway, package: Path, half_way_before: HalfWay, read: int
    ) -> None:
        gateway.deploy("1", package)
        gateway.deploy("2", package)
        half_way_before(read, percent=50)
        assert gateway.weights() in ({"1": 100}, {"1": 50, "2": 50})

    @pytest.mark.parametrize("read", range(2))
    def test_a_version_is_retired_while_kserve_writes_the_routes(
        self, gateway: Gateway, package: Path, half_way_before: HalfWay, read: int
    ) -> None:
        gateway.deploy("1", package)
        gateway.deploy("2", package)
        gateway.shift({"1": 50, "2": 50})
        half_way_before(read, percent=0)
        gateway.retire("2")
        assert gateway.weights() == {"1": 100}


class TestKnative(KServeContract):
    mode = "Knative"

    def test_a_predictor_that_is_put_back_gets_traffic_only_when_it_is_ready(
        self, world: KServeWorld, gateway: Gateway, package: Path
    ) -> None:
        """Till then the latest Revision that is ready is the one that was rolled back."""
        gateway.deploy("1", package)
        gateway.deploy("2", package)
        gateway.shift({"1": 50, "2": 50})
        gateway.shift({"1": 100})
        world.fates["1"] = "pending"
        with pytest.raises(GatewayError, match=r"not retired after .* not ready"):
            gateway.retire("2")
        assert gateway.weights() == {"1": 100}
        gateway.shift({"1": 100})
        assert gateway.weights() == {"1": 100}
        world.fates["1"] = "ready"
        gateway.retire("2")
        world.settle()
        assert gateway.weights() == {"1": 100}
        assert "canaryTrafficPercent" not in world.service["spec"]["predictor"]
        assert world.pods("2") == set()


del KServeContract, GatewayContract
