import shlex
import sys
from pathlib import Path

import pytest

from kontinual import settings
from kontinual.settings import Settings


def test_a_run_can_be_started_from_a_clone_in_a_folder_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KONTINUAL_RUN_COMMAND", raising=False)
    monkeypatch.setattr(settings, "_SOURCE", tmp_path / "my clone")
    monkeypatch.setattr(sys, "executable", "/home/ana's/bin/python")
    script = str(tmp_path / "my clone" / "pipelines" / "local.py")
    assert shlex.split(Settings().run_command) == ["/home/ana's/bin/python", script]
