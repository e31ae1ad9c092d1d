"""The flights of 2013 in a lake of their own."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from kontinual.lake import Lake
from kontinual.spec import Loop, load_loop

ROOT = Path(__file__).parents[3]
LOOP = ROOT / "examples" / "flights" / "loop.yaml"


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """All flights; made by the main environment, where their package is."""
    out = tmp_path_factory.mktemp("flights") / "flights.parquet"
    python = os.environ.get("KONTINUAL_MAIN_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    script = LOOP.with_name("prepare.py")
    subprocess.run([python, str(script), str(out)], check=True, capture_output=True)
    return pd.read_parquet(out)


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(LOOP))


@pytest.fixture
def lake(tmp_path: Path, loop: Loop) -> Lake:
    return Lake(str(tmp_path / "lake"), loop)
