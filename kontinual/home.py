"""The home of a loop: the folder where its state is, beside its declaration.

`stack/loop` in it says whose home it is, from the first `kontinual up` on;
`stack/addresses.json` where its services listen, when the usual ports were taken.
"""

import json
import os
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kontinual.errors import ServiceError
from kontinual.settings import Settings

__all__ = [
    "Owner",
    "claim",
    "keep_addresses",
    "owner_of",
    "require_owner",
    "require_writable",
    "settings_of",
]


class Owner(BaseModel):
    """Whose home it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: str
    declaration: str  # path or URL


def settings_of(loop: str | Path | None = None) -> Settings:
    """The settings that hold for a loop, wherever a command is called.

    What the environment says comes first. Else its home lies beside its declaration, and its
    services are at the addresses that are kept there, or at the usual ones.

    Args:
        loop: path or URL of the declaration; left out, or not on this machine, the home is
            that of the working folder.
    """
    given = Settings()
    home = given.home if "home" in given.model_fields_set else _folder_of(loop) / given.home
    kept = {name: url for name, url in _kept(home).items() if name not in given.model_fields_set}
    return given.model_copy(update={"home": home, **kept})


def owner_of(home: Path) -> Owner | None:
    """Whose home it is; None before the first `kontinual up`."""
    try:
        return Owner.model_validate_json(_owner(home).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as exc:
        raise ServiceError(
            f"{_owner(home)}: does not say whose home this is; remove it: {exc}"
        ) from exc


def claim(home: Path, loop: str, declaration: str) -> None:
    """Make it the home of a loop, which it stays: its store, its champion, its weights.

    Raises:
        ServiceError: it is another loop's, or can not be written.
    """
    require_owner(home, loop)
    require_writable(home)
    _owner(home).parent.mkdir(mode=0o700, exist_ok=True)
    _write(_owner(home), Owner(loop=loop, declaration=declaration).model_dump_json())


def require_owner(home: Path, loop: str) -> None:
    """Make sure that no other loop's state is there.

    Raises:
        ServiceError: it is; says what to do.
    """
    owner = owner_of(home)
    if owner is None or owner.loop == loop:
        return
    other = home.resolve().parent / f".kontinual-{loop}"
    raise ServiceError(
        f"{home} is the home of the loop {owner.loop!r} ({owner.declaration}), not of {loop!r}: "
        f"give each declaration a folder of its own, or set KONTINUAL_HOME={other} in every "
        f"command for {loop!r}. A loop that is renamed begins anew, in a new home"
    )


def require_writable(home: Path) -> None:
    """Make the home where there is none: this user's alone, for it holds all rows and tokens.

    Raises:
        ServiceError: nothing can be written there.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as exc:
        raise ServiceError(
            f"{home}: the loop's state is kept there, but nothing can be written: "
            f"{exc.strerror}; make the folder writable, or set KONTINUAL_HOME to one that is"
        ) from exc


def keep_addresses(home: Path, addresses: dict[str, str]) -> None:
    """Remember where the services listen, for every command of this loop."""
    path = _addresses(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, json.dumps(addresses, indent=2))


def _folder_of(loop: str | Path | None) -> Path:
    path = str(loop or "").removeprefix("file://")
    return Path.cwd() if not path or "://" in path else Path(path).resolve().parent


def _kept(home: Path) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(_addresses(home).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as exc:
        raise ServiceError(f"{_addresses(home)}: no addresses: {exc}; remove it") from exc
    return kept


def _owner(home: Path) -> Path:
    return home / "stack" / "loop"


def _addresses(home: Path) -> Path:
    return home / "stack" / "addresses.json"


def _write(path: Path, text: str) -> None:
    """Write a whole file or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
