import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kontinual.local.tools import find_tool
from kontinual.spec import Loop, load_loop

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(ROOT / "examples" / "flights" / "loop.yaml"))


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Finds a program of Prometheus; a test without it fails, it does not skip."""
    return lambda name: str(find_tool(name))


@pytest.fixture
def run(tool: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool(name), *arguments], cwd=cwd, capture_output=True, text=True, check=False
        )

    return call
