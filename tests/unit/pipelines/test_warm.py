"""A warm interpreter is a cold one that has done its imports: nobody who runs it can tell."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.warm import WarmPython

HEAVY = """
import logging, os, sys, tempfile
tempfile.gettempdir()
with open("imported", "a") as note:
    note.write(f"{os.getpid()}\\n")
print("a library talks while it is imported", flush=True)
logging.warning("and leaves a handler behind")
"""
TELL = """
import json, logging, os, sys, tempfile
print(json.dumps({
    "arguments": sys.argv[1:], "name": __name__, "folder": os.getcwd(), "path": sys.path[0],
    "environment": dict(os.environ), "pid": os.getpid(), "stdin": os.read(0, 100).decode(),
    "heavy": "heavy" in sys.modules, "handlers": len(logging.root.handlers),
    "temporary": tempfile.gettempdir(),
}))
print("to stderr", file=sys.stderr)
"""
END = """
import atexit, os, sys
atexit.register(print, "said at exit")
how = sys.argv[1]
if how == "signal":
    os.kill(os.getpid(), 9)
sys.exit(int(how))
"""
WAIT = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path("ended").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
pathlib.Path("started").touch()
while True:
    time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with modules to run."""
    for name, text in {"heavy": HEAVY, "tell": TELL, "end": END, "wait": WAIT}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def warm() -> Iterator[WarmPython]:
    with WarmPython(sys.executable, ["heavy"]) as python:
        python.start()
        yield python


def run(warm: WarmPython, words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = f"{warm.command} -m {words}"
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, **options
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether or not its parent has taken notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_task_has_the_command_line_environment_folder_and_streams_of_its_client(
    warm: WarmPython, folder: Path
):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "tell.py").write_text(TELL)
    ended = run(
        warm,
        "tell one 'two words'",
        cwd=folder / "elsewhere",
        env={"PATH": os.environ["PATH"], "ONLY": "this", "TMPDIR": str(folder / "elsewhere")},
        input="said to it",
    )
    told = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert ended.stderr == "to stderr\n"
    assert told["arguments"] == ["one", "two words"]
    assert told["name"] == "__main__"
    assert told["folder"] == told["path"] == told["temporary"] == str(folder / "elsewhere")
    assert told["environment"]["ONLY"] == "this"
    assert "HOME" not in told["environment"]
    assert told["stdin"] == "said to it"


def test_what_is_preloaded_is_imported_once_and_in_silence(warm: WarmPython, folder: Path):
    told = [json.loads(run(warm, "tell").stdout) for _ in range(2)]
    assert [t["heavy"] for t in told] == [True, True]
    assert (folder / "imported").read_text().split() == [str(warm.pid)]
    assert told[0]["pid"] != told[1]["pid"]
    assert [t["handlers"] for t in told] == [0, 0], "a task sets up its own log"


@pytest.mark.parametrize(("how", "code"), [("0", 0), ("3", 3), ("signal", 128 + signal.SIGKILL)])
def test_a_tasks_exit_code_is_its_clients(warm: WarmPython, how: str, code: int):
    ended = run(warm, f"end {how}")
    assert ended.returncode == code
    assert ended.stdout == ("said at exit\n" if how != "signal" else "")


def test_a_module_that_can_not_be_imported_costs_nothing_but_is_named_by_its_task():
    with WarmPython(sys.executable, ["not_there", "heavy"]) as warm:
        warm.start()
        assert json.loads(run(warm, "tell").stdout)["heavy"] is True
        ended = run(warm, "not_there")
    assert ended.returncode == 1
    assert "No module named not_there" in ended.stderr


def test_whoever_kills_the_client_ends_the_task(warm: WarmPython, folder: Path):
    client = subprocess.Popen(["sh", "-c", f"exec {warm.command} -m wait"])
    wait_until((folder / "started").exists)
    client.kill()
    client.wait()
    wait_until((folder / "ended").exists)
    assert run(warm, "end 3").returncode == 3, "others are served as before"


def test_a_task_whose_warm_interpreter_is_gone_runs_in_a_cold_one(warm: WarmPython):
    os.kill(warm.pid, signal.SIGKILL)
    wait_until(lambda: is_gone(warm.pid))
    ended = run(warm, "tell one", input="")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["arguments"] == ["one"]
    assert json.loads(ended.stdout)["heavy"] is False


def test_before_it_is_started_it_is_a_cold_one(folder: Path):
    with WarmPython(sys.executable, ["heavy"]) as warm:
        assert json.loads(run(warm, "tell", input="").stdout)["heavy"] is False
    assert not (folder / "imported").exists()


def test_a_warm_interpreter_outlives_no_owner(folder: Path):
    owner = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from pipelines.warm import WarmPython\n"
        "warm = WarmPython(sys.executable, ['heavy'])\n"
        "warm.start()\n"
        "print(warm.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        wait_until((folder / "imported").exists)
        process.kill()
    wait_until(lambda: is_gone(pid))
