"""LOOP says which loop is meant, whatever the working folder is; looking leaves no trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kontinual.home import claim

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
LOOKING = [
    ["status"],
    ["down"],
    ["logs", "trigger"],
    ["rollout", "status"],
    ["span", "list"],
    ["ledger", "show"],
]


def kontinual(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KONTINUAL_")}
    return subprocess.run(
        [sys.executable, "-m", "kontinual", *words],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def declare(path: Path, name: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = EXAMPLE.read_text(encoding="utf-8").replace("name: flights", f"name: {name}", 1)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("words", LOOKING, ids=lambda words: words[0])
def test_looking_makes_nothing_neither_here_nor_beside_the_loop(
    tmp_path: Path, words: list[str]
) -> None:
    declare(tmp_path / "a" / "loop.yaml", "ay")
    (tmp_path / "here").mkdir()
    word = [words[0], *words[1:]]
    place = 2 if words[0] in {"rollout", "span", "ledger"} else 1
    word.insert(place, "../a/loop.yaml")
    told = kontinual(*word, folder=tmp_path / "here")
    assert "Traceback" not in told.stderr
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "a",
        "a/loop.yaml",
        "here",
    ]


@pytest.mark.parametrize("command", ["up", "down", "status", "run"])
def test_a_declaration_that_is_not_there_is_an_error(tmp_path: Path, command: str) -> None:
    told = kontinual(command, "nosuch.yaml", folder=tmp_path)
    assert told.returncode == 1
    assert "nosuch.yaml: the declaration can not be read" in told.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["up", "down", "status", "run"])
def test_the_home_of_another_loop_is_left_alone(tmp_path: Path, command: str) -> None:
    first, second = (declare(tmp_path / f"{name}.yaml", name) for name in ("ay", "bee"))
    claim(tmp_path / ".kontinual", "ay", str(first))
    told = kontinual(command, str(second), folder=tmp_path)
    assert told.returncode == 1
    assert f"is the home of the loop 'ay' ({first}), not of 'bee'" in told.stderr
    assert f"set KONTINUAL_HOME={tmp_path}/.kontinual-bee" in told.stderr


def test_a_stack_can_be_stopped_after_its_declaration_became_invalid(tmp_path: Path) -> None:
    loop = declare(tmp_path / "loop.yaml", "ay")
    claim(tmp_path / ".kontinual", "ay", str(loop))
    loop.write_text("kind: Loop\n", encoding="utf-8")
    assert kontinual("down", "loop.yaml", folder=tmp_path).returncode == 0
    other = loop.rename(tmp_path / "other.yaml")
    told = kontinual("down", other.name, folder=tmp_path)
    assert told.returncode == 1
    assert "other.yaml" in told.stderr


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_home_that_can_not_be_written_is_one_message(tmp_path: Path, command: str) -> None:
    loop = declare(tmp_path / "loop.yaml", "ay")
    (tmp_path / "file").touch()
    told = kontinual(
        command,
        str(loop),
        folder=tmp_path,
        KONTINUAL_HOME=str(tmp_path / "file" / "home"),
        KONTINUAL_TRIGGER="http://127.0.0.1:1",
    )
    assert told.returncode == 1
    assert "nothing can be written: Not a directory; make the folder writable" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_missing_data_environment_is_told_before_anything_starts(tmp_path: Path) -> None:
    loop, nowhere = declare(tmp_path / "loop.yaml", "ay"), str(tmp_path / "nowhere")
    told = kontinual("up", str(loop), folder=tmp_path, KONTINUAL_DATA_PYTHON=nowhere)
    assert told.returncode == 1
    assert f"interpreter {nowhere} is not there; run `make setup`" in told.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["loop.yaml"]


def test_the_status_of_a_stack_that_is_not_up_says_what_starts_it(tmp_path: Path) -> None:
    loop = declare(tmp_path / "loop.yaml", "ay")
    told = kontinual("status", str(loop), folder=tmp_path)
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1] == f"the stack is not up: kontinual up {loop}"
    assert "not known" not in told.stdout
