"""A loop and its trigger service, as commands reach them."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kontinual.home import require_owner, settings_of
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop

if TYPE_CHECKING:
    from kontinual.trigger.client import TriggerClient

__all__ = ["By", "LoopPath", "Reason", "client_of", "open_loop", "person"]

LoopPath = Annotated[str, typer.Argument(metavar="LOOP", help="path of loop.yaml")]
Reason = Annotated[str, typer.Option(help="why; it stays in the ledger")]
By = Annotated[
    str | None, typer.Option(help="your name, for the ledger; that of the login by default")
]


def open_loop(path: str | Path) -> tuple[Loop, Settings]:
    """A loop, with the settings that hold for it wherever the command is called.

    Raises:
        SpecError: there is no declaration, or not a valid one.
        ServiceError: its home is another loop's.
    """
    loop, settings = load_loop(str(path)), settings_of(path)
    require_owner(settings.home, loop.name)
    return loop, settings


def person(by: str | None) -> str:
    """Who sits at the keyboard, as far as this command can know."""
    return by or getpass.getuser()


def client_of(loop: Loop | None, settings: Settings, *, by: str | None = None) -> "TriggerClient":
    """The service of a loop, or whichever the settings name. Raises as `TriggerClient.of` does."""
    from kontinual.local.services import token_of
    from kontinual.trigger.client import TriggerClient

    client = TriggerClient(settings.trigger, token=token_of(settings), by=person(by))
    return client if loop is None else client.serving(loop.name)
