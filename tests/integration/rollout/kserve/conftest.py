from collections.abc import Iterator
from pathlib import Path

import pytest
from kserve_world import KServeWorld

from kontinual.spec import Loop, load_loop
from tests.cluster.imitation.kserve.controller import Cluster

EXAMPLE = Path(__file__).parents[4] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [20, 100], "min_requests": 40, "step_duration": "1s", "step_timeout": "60s"}
SERVING = {"replicas": 3, "max_replicas": 6, "ready_timeout": "5m"}


@pytest.fixture
def loop() -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "rollout": PLAN, "serving": SERVING})


@pytest.fixture(params=["Standard", "Knative"])
def world(request: pytest.FixtureRequest, tmp_path: Path, loop: Loop) -> Iterator[KServeWorld]:
    with KServeWorld(tmp_path, loop, Cluster(mode=request.param)) as world:
        world.serve("1")
        world.package("2")
        yield world


@pytest.fixture
def standard(tmp_path: Path, loop: Loop) -> Iterator[KServeWorld]:
    with KServeWorld(tmp_path, loop, Cluster()) as world:
        world.serve("1")
        world.package("2")
        yield world
