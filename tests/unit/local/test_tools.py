from pathlib import Path

import pytest

from kontinual.errors import ServiceError
from kontinual.local import find_tool


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_tool_is_taken_from_path_first(tmp_path: Path) -> None:
    mine = program(tmp_path / "bin" / "prometheus")
    assert find_tool("prometheus", environ={"PATH": str(mine.parent)}) == mine


def test_debians_name_of_alertmanager_is_known(tmp_path: Path) -> None:
    mine = program(tmp_path / "bin" / "prometheus-alertmanager")
    assert find_tool("alertmanager", environ={"PATH": str(mine.parent)}) == mine


def test_a_variable_wins_over_path(tmp_path: Path) -> None:
    on_path, chosen = program(tmp_path / "bin" / "amtool"), program(tmp_path / "my-amtool")
    environ = {"PATH": str(on_path.parent), "KONTINUAL_TOOL_AMTOOL": str(chosen)}
    assert find_tool("amtool", environ=environ) == chosen


def test_a_variable_that_names_no_program_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "KONTINUAL_TOOL_ENVOY": str(tmp_path / "no")}
    with pytest.raises(ServiceError, match=r"KONTINUAL_TOOL_ENVOY must name a program .*/no'"):
        find_tool("envoy", environ=environ)


def test_what_set_up_fetched_is_found_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = program(tmp_path / ".tools" / "usr" / "bin" / "promtool")
    monkeypatch.chdir(tmp_path)
    assert find_tool("promtool", environ={"PATH": ""}) == mine


def test_a_wheels_program_is_found_next_to_the_interpreter() -> None:
    assert find_tool("envoy", environ={"PATH": ""}).name == "envoy"


def test_a_missing_tool_says_how_to_get_it() -> None:
    with pytest.raises(
        ServiceError,
        match=r"grafana was not found .* run `make setup`, or set KONTINUAL_TOOL_GRAFANA",
    ):
        find_tool("grafana", environ={"PATH": ""})
