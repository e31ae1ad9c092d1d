"""Makes the world of `rollout_world` importable by name, also for processes that tests start."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rollout_world import Behaviour, World

from kontinual.spec import Loop, load_loop

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
ROLLOUT = {
    "steps": [5, 25, 50, 100],
    "min_requests": 60,
    "step_duration": "10s",
    "step_timeout": "90s",
}


@pytest.fixture
def loop() -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "rollout": ROLLOUT})


@pytest.fixture
def world(tmp_path: Path, loop: Loop) -> World:
    world = World(tmp_path, loop, v1=Behaviour(), v2=Behaviour(), v3=Behaviour())
    world.serve("1")
    return world
