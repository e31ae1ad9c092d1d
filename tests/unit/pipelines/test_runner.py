"""Each task runs in the interpreter of its image, and all but the first in a warm one."""

import shlex
import sys
from pathlib import Path

import pytest
import yaml
from kfp import local
from kfp.local import subprocess_task_handler as tasks
from kfp.local.status import Status

from components.images import CONTROL, DATA, TRAIN
from kontinual.errors import ServiceError
from kontinual.settings import Settings
from pipelines.compile import COMPONENTS, ROOT
from pipelines.local import interpreter, main
from pipelines.runner import handler

SCRATCH = Path("/tmp/of a run")
DATA_PYTHON = "/opt/a data environment/bin/python3"


class Warm:
    """A warm interpreter that is never started for real."""

    def __init__(self, image: str) -> None:
        self.command, self.starts = f"WARM {image}", 0

    def start(self) -> None:
        self.starts += 1


@pytest.fixture
def warm() -> dict[str, Warm]:
    return {image: Warm(image) for image in (CONTROL, DATA, TRAIN)}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("shutil.which", lambda path: str(path))
    return Settings(data_python=Path(DATA_PYTHON))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been started; each ends with code 0."""
    commands: list[list[str]] = []

    def start(full_command: list[str], env_vars: dict[str, str]) -> int:
        assert env_vars["TMPDIR"] == str(SCRATCH)
        commands.append(full_command)
        return 0

    monkeypatch.setattr(tasks, "run_local_subprocess", start)
    return commands


def start(name: str, settings: Settings, warm: dict[str, Warm], *arguments: str) -> Status:
    """Run a component's own container command by the handler."""
    spec = yaml.safe_load((ROOT / f"components/{name}/component.yaml").read_text())
    container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
    task = handler(settings, warm, scratch=SCRATCH)(  # type: ignore[arg-type]
        image=container["image"],
        full_command=[*container["command"], *container["args"], *arguments],
        pipeline_root="root",
        runner=local.SubprocessRunner(use_venv=False),
    )
    return task.run()


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_runs_in_its_images_interpreter(
    name: str, settings: Settings, warm: dict[str, Warm], started: list[list[str]]
):
    cold = {"admit": sys.executable, "ingest": shlex.quote(DATA_PYTHON)}
    image = DATA if name == "validate" else CONTROL if name in {"rollout", "record"} else TRAIN
    assert start(name, settings, warm) is Status.SUCCESS
    python = cold.get(name, f"WARM {image}")
    assert f"_KFP_RUNTIME=true {python} -m kfp.dsl.executor_main" in started[0][2]


def test_what_trains_gets_warm_beside_validation_and_not_before(
    settings: Settings, warm: dict[str, Warm], started: list[list[str]]
):
    start("admit", settings, warm)
    start("ingest", settings, warm)
    assert warm[TRAIN].starts == 0
    start("validate", settings, warm)
    assert warm[TRAIN].starts == 1


def test_what_is_called_python3_in_an_argument_stays_as_it_is(
    settings: Settings, warm: dict[str, Warm], started: list[list[str]]
):
    start("train", settings, warm, "/home/me/python3/loop.yaml")
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
