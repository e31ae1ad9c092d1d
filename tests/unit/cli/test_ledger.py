"""`kontinual ledger verify`, as a person sees it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kontinual.cli import app
from kontinual.settings import Settings
from kontinual.trigger import Control, Ledger

LOOP = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")


@pytest.mark.parametrize("everywhere", [False, True])
def test_verify_tells_the_head_of_each_chain_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, everywhere: bool
) -> None:
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path))
    ledger = Ledger(Settings().ledger_url, "flights")
    Control(ledger).pause("ana", "stop", everywhere=everywhere)
    ledger.close()
    told = CliRunner().invoke(app, ["ledger", "verify", LOOP], catch_exceptions=False).output
    own, all_loops = (0, 1) if everywhere else (1, 0)
    assert f"the ledger of flights is whole: {own} entries" in told
    assert ("pauses of all loops are whole: 1 entries" in told) == bool(all_loops)
    assert len(re.findall("head [0-9a-f]{64}", told)) == 1 + all_loops
