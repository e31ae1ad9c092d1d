"""tools/setup.sh, with small stand-ins for what it would find on other machines."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = [
    *("requirements.txt", "setup.py", "tests/requirements-data.txt"),
    *("images/data/requirements.txt", "images/data/requirements-tfdv-1.16.txt"),
    *("images/data/requirements-kfp.txt", "tools/setup.sh"),
]
COMMANDS = ["bash", "cat", "sha256sum", "cut", "awk", "dirname", "mkdir", "getconf", "uname"]
TOOLS = ["prometheus", "promtool", "amtool", "alertmanager"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A source tree with its own PATH in `bin`, which holds no Python at first."""
    for name in LOCKS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in COMMANDS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shutil.which('bash')}\n{body}\n")
    path.chmod(0o755)


def python(clone: Path, minor: int) -> None:
    """A `python3` that knows its version and little else."""
    script(
        clone / "bin" / "python3",
        f"""case "$*" in
            *version_info*) echo {minor} ;;
            *sys.executable*) echo "$0" ;;
            --version) echo "Python 3.{minor}.1" ;;
            *ensurepip*) exit 1 ;;
        esac""",
    )


def setup(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/setup.sh"],
        cwd=clone,
        env={"PATH": str(clone / "bin"), "HOME": str(clone), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def stamp(clone: Path, folder: str, *locks: str) -> None:
    """Leave an environment as a set-up that went well leaves it."""
    script(clone / folder / "bin" / "python", "exit 0")
    content = b"".join((clone / n).read_bytes() for n in [*locks, "tools/setup.sh", "setup.py"])
    (clone / folder / ".kontinual-setup").write_text(hashlib.sha256(content).hexdigest() + "\n")


def test_an_old_python_is_refused_with_the_versions_that_would_do(clone: Path) -> None:
    python(clone, 9)
    result = setup(clone)
    assert result.returncode == 1
    assert result.stderr.startswith(
        "setup: error: Python 3.11, 3.12 or 3.13 is needed, but python3 is Python 3.9.1; "
        "install one, or set KONTINUAL_PYTHON"
    )
    assert not (clone / ".venv").exists()


def test_a_chosen_python_that_will_not_do_is_refused_and_no_other_taken(clone: Path) -> None:
    python(clone, 11)
    result = setup(clone, KONTINUAL_PYTHON="/bin/false")
    assert result.returncode == 1
    assert (
        "KONTINUAL_PYTHON must be a Python 3.11, 3.12 or 3.13, but is /bin/false" in result.stderr
    )


def test_a_python_without_venv_says_which_package_brings_it(clone: Path) -> None:
    python(clone, 11)
    result = setup(clone)  # no apt-get on this PATH, so root is told as well
    assert result.returncode == 1
    assert "Python's venv is missing; install it (on Debian: sudo apt-get install" in result.stderr
    assert "python3.11-venv" in result.stderr


def test_what_is_done_is_not_done_again_and_that_takes_no_second(clone: Path) -> None:
    python(clone, 11)
    extra = ("images/data/requirements-kfp.txt", "tests/requirements-data.txt")
    stamp(clone, ".venv", "requirements.txt")
    stamp(clone, ".venv-data", "images/data/requirements-tfdv-1.16.txt", *extra)
    for tool in TOOLS:
        script(clone / "bin" / tool, "exit 0")
    began = time.monotonic()
    result = setup(clone)
    assert result.stderr == ""
    assert result.stdout.splitlines()[:3] == [
        "setup: .venv is up to date",
        "setup: .venv-data is up to date",
        "setup: Prometheus and Alertmanager are there",
    ]
    # Other work on a busy machine may stretch it; on a quiet one it is 0.3 s.
    assert time.monotonic() - began < 5


def test_a_changed_lock_file_means_work_again(clone: Path) -> None:
    python(clone, 11)
    stamp(clone, ".venv", "requirements.txt")
    with (clone / "requirements.txt").open("a") as lock:
        lock.write("# one more\n")
    result = setup(clone)
    assert ".venv is up to date" not in result.stdout


def test_without_apt_the_missing_tools_are_named(clone: Path) -> None:
    python(clone, 11)
    extra = ("images/data/requirements-kfp.txt", "tests/requirements-data.txt")
    stamp(clone, ".venv", "requirements.txt")
    stamp(clone, ".venv-data", "images/data/requirements-tfdv-1.16.txt", *extra)
    result = setup(clone)
    assert result.returncode == 1
    assert (
        "this system has no apt; install prometheus and prometheus-alertmanager "
        "(with promtool and amtool) so that they are on PATH" in result.stderr
    )


def test_every_lock_file_pins_by_hash() -> None:
    for lock in [*ROOT.glob("images/*/requirements*.txt"), ROOT / "requirements.txt"]:
        lines = lock.read_text().splitlines()
        pins = [i for i, line in enumerate(lines) if line and line[0] not in " #"]
        assert pins, lock
        assert all("==" in lines[i] and "--hash=sha256:" in lines[i + 1] for i in pins), lock
    assert os.access(ROOT / "tools" / "setup.sh", os.X_OK)
