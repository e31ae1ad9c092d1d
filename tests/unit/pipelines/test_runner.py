"""Each task runs in the interpreter of its image, and all but the first in a warm one."""

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kfp import local
from kfp.local import subprocess_task_handler as tasks
from kfp.local.status import Status

from components.images import DATA, TRAIN
from kontinual.errors import ServiceError
from kontinual.settings import Settings
from pipelines.compile import COMPONENTS, ROOT
from pipelines.local import interpreter, main
from pipelines.runner import COLD, handler

DATA_PYTHON = "/opt/a data environment/bin/python3"
WARM = {
    python: SimpleNamespace(command=f"WARM {python}") for python in (sys.executable, DATA_PYTHON)
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("shutil.which", lambda path: str(path))
    return Settings(data_python=Path(DATA_PYTHON))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been started; each ends with code 0."""
    commands: list[list[str]] = []
    monkeypatch.setattr(
        tasks,
        "run_local_subprocess",
        lambda full_command, env_vars: commands.append(full_command) or 0,
    )
    return commands


def start(name: str, settings: Settings, *arguments: str) -> Status:
    """Run a component's own container command by the handler."""
    spec = yaml.safe_load((ROOT / f"components/{name}/component.yaml").read_text())
    container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
    task = handler(settings, WARM)(  # type: ignore[arg-type]
        image=container["image"],
        full_command=[*container["command"], *container["args"], *arguments],
        pipeline_root="root",
        runner=local.SubprocessRunner(use_venv=False),
    )
    return task.run()


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_runs_in_its_images_interpreter(
    name: str, settings: Settings, started: list[list[str]]
):
    assert start(name, settings) is Status.SUCCESS
    python = DATA_PYTHON if name in {"ingest", "validate"} else sys.executable
    expected = shlex.quote(python) if name in COLD else f"WARM {python}"
    script = started[0][2]
    assert f"_KFP_RUNTIME=true {expected} -m kfp.dsl.executor_main" in script


def test_what_is_called_python3_in_an_argument_stays_as_it_is(
    settings: Settings, started: list[list[str]]
):
    start("train", settings, "/home/me/python3/loop.yaml")
    assert started[0][-1] == "/home/me/python3/loop.yaml"


def test_a_missing_data_environment_is_named_with_the_way_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    settings = Settings(data_python=Path("/nowhere/python"))
    assert interpreter(TRAIN, settings) == sys.executable
    with pytest.raises(ServiceError, match="/nowhere/python is not there; run `make setup`"):
        interpreter(DATA, settings)
    monkeypatch.setenv("KONTINUAL_DATA_PYTHON", "/nowhere/python")
    monkeypatch.setattr("sys.argv", ["local.py", "--loop", "loop.yaml", "--run-id", "x"])
    assert main() == 1
    assert "/nowhere/python is not there" in capsys.readouterr().err
