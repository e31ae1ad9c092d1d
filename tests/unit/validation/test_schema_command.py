"""`kontinual schema` runs where TFDV is, wherever it was called."""

import os
import stat
import sys
from pathlib import Path

import pytest

from kontinual.cli import main


@pytest.fixture
def call(monkeypatch, capfd):
    """Calls the command line; exit status, output, complaint."""

    def run(*arguments, **environment):
        monkeypatch.setattr(sys, "argv", ["kontinual", "schema", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def elsewhere(monkeypatch):
    """Makes this an environment without TFDV, whichever it is."""
    monkeypatch.setattr("kontinual.cli.schema.importlib.util.find_spec", lambda name: None)


def interpreter(folder: Path, *, status: int = 0) -> Path:
    """Stands in for the data environment's Python: tells what it was asked."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nprintf "%s|" "$@"\nexit {status}\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        (["show", "l.yaml", "--text"], "schema|show|l.yaml|--text|"),
        (
            ["diff", "l.yaml", "--span", "3", "--feature", "a", "--feature", "b"],
            "schema|diff|l.yaml|--span|3|--feature|a|--feature|b|",
        ),
        (
            ["accept", "l.yaml", "--by", "Ada L", "--reason", "it is right", "--reset"],
            "schema|accept|l.yaml|--reason|it is right|--by|Ada L|--reset|",
        ),
    ],
)
def test_the_same_command_is_run_in_the_data_environment(call, elsewhere, tmp_path, asked, passed):
    status, out, _ = call(*asked, KONTINUAL_DATA_PYTHON=interpreter(tmp_path))
    assert status == 0
    assert out.endswith(f"main()|{passed}")


def test_it_ends_as_the_other_environment_ended(call, elsewhere, tmp_path):
    status, _, _ = call("show", "l.yaml", KONTINUAL_DATA_PYTHON=interpreter(tmp_path, status=7))
    assert status == 7


def test_a_missing_data_environment_is_named_with_what_to_do(call, elsewhere, tmp_path):
    status, _, err = call("show", "l.yaml", KONTINUAL_DATA_PYTHON=tmp_path / "nowhere")
    assert status == 1
    assert f"interpreter {tmp_path / 'nowhere'} is not there; run `make setup`" in err


def test_an_interpreter_without_tfdv_is_told_and_not_asked_for_ever(call, elsewhere, tmp_path):
    inside = {"KONTINUAL_INSIDE_DATA_ENVIRONMENT": "1"}
    status, _, err = call("show", "l.yaml", KONTINUAL_DATA_PYTHON=sys.executable, **inside)
    assert status == 1
    assert "this interpreter has no TFDV" in err


def test_accepting_needs_a_reason(call, elsewhere):
    status, _, err = call("accept", os.devnull)
    assert status == 2
    assert "--reason" in err
