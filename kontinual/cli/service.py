"""The trigger service, as commands reach it."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from kontinual.settings import Settings
from kontinual.spec import Loop

if TYPE_CHECKING:
    from kontinual.trigger.client import TriggerClient

__all__ = ["By", "LoopPath", "Reason", "client_of", "person"]

LoopPath = Annotated[str, typer.Argument(metavar="LOOP", help="path of loop.yaml")]
Reason = Annotated[str, typer.Option(help="why; it stays in the ledger")]
By = Annotated[
    str | None, typer.Option(help="your name, for the ledger; that of the login by default")
]


def person(by: str | None) -> str:
    """Who sits at the keyboard, as far as this command can know."""
    return by or getpass.getuser()


def client_of(loop: Loop | None, settings: Settings, *, by: str | None = None) -> "TriggerClient":
    """The service of a loop, or whichever the settings name. Raises as `TriggerClient.of` does."""
    from kontinual.local.services import token_of
    from kontinual.trigger.client import TriggerClient

    client = TriggerClient(settings.trigger, token=token_of(settings), by=person(by))
    return client if loop is None else client.serving(loop.name)
