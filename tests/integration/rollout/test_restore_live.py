"""Back to an earlier version on a real Envoy under requests, and on KServe in both its modes."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from kserve_world import KServeWorld
from real_servers import RunningEnvoy
from rollout_world import FileRegistry
from small_predictors import ProcessPredictors

from kontinual.rollout import EnvoyGateway, FolderStore, rollout
from kontinual.spec import Loop, Outcome, load_loop
from kontinual.steps.rollback import restore
from tests.cluster.imitation.kserve.controller import Cluster
from tests.repeating import repeating

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [20, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "60s"}


def test_no_request_is_lost_on_the_way_back(
    envoy: RunningEnvoy, predictors: ProcessPredictors, tmp_path: Path
) -> None:
    gateway = EnvoyGateway(folder=envoy.folder, admin=envoy.admin, predictors=predictors)
    registry = FileRegistry(tmp_path)
    gateway.deploy("2", tmp_path)
    gateway.shift({"2": 100})
    registry.crown("2")
    codes: list[int] = []
    with (
        httpx.Client(trust_env=False) as client,
        repeating(lambda: codes.append(client.get(envoy.url).status_code), pause=0.005),
    ):
        parts: dict[str, Any] = {
            "gateway": gateway,
            "metrics": None,  # no figures are asked
            "outcomes": None,
            "registry": registry,
            "store": FolderStore(tmp_path / "rollout"),
        }
        restore(load_loop(str(EXAMPLE)), version="1", **parts)
    assert set(codes) == {200}
    assert gateway.weights() == {"1": 100}
    assert predictors.running().keys() == {"1"}


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_on_kserve_the_version_before_serves_again(tmp_path: Path, mode: str) -> None:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    loop = Loop.model_validate({**tree, "rollout": PLAN})
    with KServeWorld(tmp_path, loop, Cluster(mode=mode)) as world:
        world.serve("1")
        world.package("2")
        promoted = rollout(loop, champion="1", challenger="2", **world.process())
        assert promoted.outcome is Outcome.PROMOTED
        parts = world.process()
        with parts["store"].lock():
            restore(loop, version="1", **parts)
        assert world.registry.champion() == "1"
        world.assert_one_champion()
