from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kontinual.spec import Loop, load_loop

LOOP = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"


@pytest.fixture(scope="session")
def loop_path() -> Path:
    return LOOP


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(LOOP))


@pytest.fixture(scope="session")
def changed(loop: Loop) -> Callable[..., Loop]:
    """The example with other values below `monitoring`, or other top keys."""

    def make(**keys: Any) -> Loop:
        tree = loop.model_dump(by_alias=True)
        for key, value in keys.items():
            tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
        return Loop.model_validate(tree)

    return make
