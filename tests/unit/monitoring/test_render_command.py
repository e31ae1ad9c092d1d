from pathlib import Path

import pytest
from typer.testing import CliRunner

from kontinual.cli.render import app
from kontinual.errors import SpecError
from kontinual.monitoring import render_rules
from kontinual.spec import Loop

FILES = {"rules.yml", "rules_test.yml", "prometheus.yml", "alertmanager.yml", "dashboard.json"}


def test_everything_a_loop_needs_is_written(loop: Loop, loop_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "rendered"
    result = CliRunner().invoke(app, [str(loop_path), "--out", str(out), "--speedup", "86400"])
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir() if path.is_file()} == FILES
    assert (out / "rules.yml").read_text(encoding="utf-8") == render_rules(loop, speedup=86400)
    assert (out / "envoy" / "envoy.json").is_file()
    assert str(out / "token") in (out / "alertmanager.yml").read_text(encoding="utf-8")


def test_a_second_rendering_replaces_the_first(loop_path: Path, tmp_path: Path) -> None:
    for speedup in ("1", "86400"):
        arguments = [str(loop_path), "--out", str(tmp_path), "--speedup", speedup]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "[30s]" in (tmp_path / "rules.yml").read_text(encoding="utf-8")
    assert not list(tmp_path.glob(".*"))


def test_a_bad_loop_writes_nothing(loop_path: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "loop.yaml"
    wrong.write_text(
        loop_path.read_text(encoding="utf-8").replace("window: 30d", "window: 30 days")
    )
    result = CliRunner().invoke(app, [str(wrong), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, SpecError)
    assert "a duration is written like 90s" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_named(loop_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, [str(loop_path), "--out", str(tmp_path / "file" / "out")])
    assert isinstance(result.exception, SpecError)
    assert "can not be written" in str(result.exception)


@pytest.mark.parametrize("options", [["--speedup", "0.5"], ["--target", "moon"], []])
def test_a_wrong_option_is_explained(loop_path: Path, options: list[str]) -> None:
    out = ["--out", "unused"] if options else []
    result = CliRunner().invoke(app, [str(loop_path), *out, *options])
    assert result.exit_code == 2
    assert "Usage" in result.output
