"""A loop's state is beside its declaration, wherever a command is called."""

import os
import stat
from pathlib import Path

import pytest

from kontinual.errors import ServiceError
from kontinual.home import (
    Owner,
    claim,
    keep_addresses,
    owner_of,
    require_owner,
    require_writable,
    settings_of,
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder is not the loop's."""
    for name in ("KONTINUAL_HOME", "KONTINUAL_TRIGGER", "KONTINUAL_COLLECTOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "said", ["../flights/loop.yaml", "{}/flights/loop.yaml", "file://{}/flights/l"]
)
def test_the_home_lies_beside_the_declaration(tmp_path: Path, said: str) -> None:
    home = settings_of(said.format(tmp_path)).home
    assert home == tmp_path / "flights" / ".kontinual"


@pytest.mark.parametrize("said", [None, "s3://team/lake/loop.yaml"])
def test_without_a_folder_of_the_loop_it_is_that_of_the_working_folder(
    tmp_path: Path, said: str | None
) -> None:
    assert settings_of(said).home == tmp_path / "elsewhere" / ".kontinual"


def test_the_environment_comes_before_what_is_beside_the_declaration_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, home = tmp_path / "flights" / "loop.yaml", tmp_path / "flights" / ".kontinual"
    keep_addresses(home, {"trigger": "http://127.0.0.1:1", "collector": "http://127.0.0.1:2"})
    monkeypatch.setenv("KONTINUAL_TRIGGER", "http://127.0.0.1:3")
    kept = settings_of(loop)
    assert (kept.trigger, kept.collector) == ("http://127.0.0.1:3", "http://127.0.0.1:2")
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path / "home"))
    moved = settings_of(loop)
    assert moved.home == tmp_path / "home"
    assert moved.collector == "http://127.0.0.1:18081"


def test_asking_makes_no_folder(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "flights" / "loop.yaml")
    assert owner_of(settings.home) is None
    require_owner(settings.home, "flights")
    assert [p.name for p in tmp_path.rglob("*")] == ["elsewhere"]


def test_a_home_is_one_loops_and_its_refusal_says_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / ".kontinual"
    claim(home, "flights", "/f/loop.yaml")
    claim(home, "flights", "/g/loop.yaml")
    assert owner_of(home) == Owner(loop="flights", declaration="/g/loop.yaml")
    with pytest.raises(ServiceError) as refusal:
        claim(home, "noshows", "/f/noshows.yaml")
    assert "is the home of the loop 'flights' (/g/loop.yaml), not of 'noshows'" in str(
        refusal.value
    )
    assert f"set KONTINUAL_HOME={tmp_path}/.kontinual-noshows" in str(refusal.value)


def test_a_home_that_can_not_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / ".kontinual"
    assert owner_of(home) is None
    with pytest.raises(ServiceError, match=r"nothing can be written: .*; make the folder writable"):
        require_writable(home)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o000])
def test_a_home_is_its_users_alone(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        require_writable(tmp_path / "a" / "home")
        keep_addresses(tmp_path / "b" / "home", {})
    finally:
        os.umask(before)
    for name in ("a", "b"):
        assert stat.filemode((tmp_path / name / "home").stat().st_mode) == "drwx------"
