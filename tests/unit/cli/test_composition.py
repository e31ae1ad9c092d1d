"""The one command: everything it promises can be called, and mistakes are told as messages."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kontinual.cli import COMMANDS, app

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
MISTAKES = """\
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: Flights
data:
  id: flight_id
  time: departure
  label: {name: late, delay: soon}
  slicez: [origin]
  history: {table: history.parquet}
  features:
    - {name: hour, type: integer, range: [23, 0]}
training:
  trainers: [{algorithm: logistic_regression}]
gates: [{metric: auc, "on": new, min_improvement: 0}]
monitoring: {alerts: [{kind: quality_decay, threshold: 0.02}]}
"""


def kontinual(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kontinual", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str):
    told = CliRunner().invoke(app, [command, "--help"], prog_name="kontinual")
    assert told.exit_code == 0, told.output
    assert f"Usage: kontinual {command}" in told.output


def test_the_command_alone_lists_all_commands():
    told = CliRunner().invoke(app, ["--help"]).output
    listed = re.findall(r"^│ ([a-z][a-z-]*) ", told, flags=re.MULTILINE)
    assert listed == list(COMMANDS)


def test_the_version_is_the_packages():
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"kontinual {version('kontinual')}\n")


def test_an_unknown_command_is_refused():
    told = CliRunner().invoke(app, ["retrian"])
    assert told.exit_code == 2
    assert "retrian" in told.output


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("1d", "held out    20% in blocks of 1d, about 6 in a span\n"),
        ("3d", "about 2 in a span: so few that gates prove little. Make holdout_block shorter"),
    ],
)
def test_check_tells_how_much_the_gates_have_to_judge_by(tmp_path: Path, block: str, told: str):
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "  holdout: 0.2\n" in text
    file = tmp_path / "loop.yaml"
    file.write_text(text.replace("holdout: 0.2", f"holdout: 0.2\n  holdout_block: {block}"))

    checked = CliRunner().invoke(app, ["check", str(file)])

    assert checked.exit_code == 0, checked.output
    assert told in checked.output


def test_check_names_every_mistake_by_its_line(tmp_path: Path):
    path = tmp_path / "loop.yaml"
    path.write_text(MISTAKES)
    told = kontinual("check", str(path))
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    for place in (
        f"{path}:3: name: ",
        f"{path}:7: data.label.delay: a duration is written like 90s, 6h, 1d12h or 4w",
        f"{path}:8: data.slicez: unknown key, did you mean `slices`?",
        f"{path}:11: data.features[0]: range needs low < high, but got [23.0, 0.0]",
        f"{path}:14: gates[0].metric: ",
    ):
        assert place in told.stderr


def test_a_file_that_is_not_there_is_a_message(tmp_path: Path):
    told = kontinual("check", str(tmp_path / "none.yaml"))
    assert told.returncode == 1
    assert "none.yaml: the declaration can not be read" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("package", "called"),
    [
        ("scipy", ["rollout", "status", "loop.yaml", "--help"]),  # when its module is imported
        ("psutil", ["demo"]),  # when it runs
    ],
)
def test_what_an_environment_can_not_run_says_why(package: str, called: list[str]):
    refused = _without(package, *called)
    assert refused.returncode == 1
    message = f"`kontinual {called[0]}` needs {package}, which this environment does not hold"
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_an_environment_can_not_run_is_listed_all_the_same():
    listed = " ".join(_without("scipy", "--help").stdout.replace("│", " ").split())
    assert "rollout (not in this environment, which has no scipy)" in listed


def _without(package: str, *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules['{package}'] = None; from kontinual.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)
