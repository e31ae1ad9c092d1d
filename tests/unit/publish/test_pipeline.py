from pathlib import Path

import pytest
from typer.testing import CliRunner

from kontinual.cli.publish import app
from kontinual.errors import SpecError
from kontinual.publish import CompiledPipeline
from kontinual.settings import Settings
from tests.kfp.server import KfpServer
from tests.unit.publish.conftest import LOOP, PIPELINE, Publish


def test_the_pipeline_that_comes_along_is_published_by_its_own_name() -> None:
    compiled = CompiledPipeline.read(Settings().pipeline_file, registry=None, tag=None)
    assert compiled.name == Settings().kfp_pipeline
    assert compiled.text == PIPELINE.read_text()


def test_the_registry_and_the_tag_are_the_users_everywhere() -> None:
    ours = CompiledPipeline.read(PIPELINE, registry=None, tag=None)
    theirs = CompiledPipeline.read(PIPELINE, registry="registry.example/team", tag="7")
    images = [line.strip() for line in theirs.text.splitlines() if " image: " in line]
    assert set(images) == {
        f"image: registry.example/team/{name}:7" for name in ("control", "data", "train")
    }
    assert theirs.version != ours.version


@pytest.mark.parametrize("text", ["", "a: b", "[", "pipelineInfo: {name: x}"])
def test_what_is_no_compiled_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=r"some.yaml: not a compiled pipeline .*make compile"):
        CompiledPipeline.read(file, registry=None, tag=None)


def test_a_pipeline_that_takes_other_parameters_is_refused(
    publisher: Publish, tmp_path: Path
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(
        "pipelineInfo: {name: other}\nroot: {inputDefinitions: {parameters: {loop: {}}}}\n"
    )
    with pytest.raises(SpecError, match="'other' has no parameter run_id, trigger"):
        publisher(pipeline=file)


def test_the_command_tells_what_it_would_do_and_what_it_did(
    server: KfpServer, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KONTINUAL_LAKE", lake.as_uri())
    monkeypatch.setenv("KONTINUAL_KFP", server.url)
    loop = tmp_path / "loop.yaml"
    loop.write_text(LOOP + "schedule: {every: 1d}\n")
    told = CliRunner().invoke(app, [str(loop), "--dry-run"], catch_exceptions=False)
    assert "would be: recurring run toy-schedule: created" in told.output
    done = CliRunner().invoke(app, [str(loop)], catch_exceptions=False)
    assert told.output.replace("would be: ", "") == done.output
    again = CliRunner().invoke(app, [str(loop)], catch_exceptions=False)
    assert again.output == done.output.replace(": created", ": unchanged")
