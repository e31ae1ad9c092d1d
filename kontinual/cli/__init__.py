"""The `kontinual` command.

Each command lives in a module of its own and is imported when it is called, so
that `kontinual check` does not wait for MLflow.
"""

import errno
import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kontinual.errors import KontinualError
from kontinual.proxies import ask_own_machine_directly

__all__ = ["main"]

# command → module below kontinual.cli, and the command's name in that module's
# app where the app holds several.
COMMANDS: dict[str, tuple[str, str | None]] = {
    "init": ("init", None),
    "check": ("check", None),
    "render": ("render", None),
    "ingest": ("ingest", None),
    "span": ("span", None),
    "schema": ("schema", None),
    "run": ("run", None),
    "publish": ("publish", None),
    "rollout": ("rollout", None),
    "trigger": ("trigger", None),
    "ledger": ("ledger", None),
    "pause": ("control", "pause"),
    "resume": ("control", "resume"),
    "approve": ("control", "approve"),
    "reject": ("control", "reject"),
    "withdraw": ("control", "withdraw"),
    "stop": ("control", "stop"),
    "rollback": ("control", "rollback"),
    "close-circuit": ("control", "close-circuit"),
    "up": ("stack", "up"),
    "down": ("stack", "down"),
    "status": ("stack", "status"),
    "logs": ("stack", "logs"),
    "example": ("example", None),
    "demo": ("demo", None),
}


_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
_WAY_OUT = "it has to be yours to write, or KONTINUAL_HOME another folder"


class LazyGroup(TyperGroup):
    """Subcommands that are imported when they are needed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        module, inner = COMMANDS[name]
        try:
            app = importlib.import_module(f"kontinual.cli.{module}").app
        except ModuleNotFoundError as exc:
            return _absent(name, (exc.name or "").partition(".")[0])
        command: Any = typer.main.get_command(app)
        command = command.get_command(ctx, inner) if inner else command
        command.name = name  # a group of its own has none, and help would list it without
        return command


def _absent(name: str, package: str) -> Any:
    """A command that this environment can not run: it is listed, and says why."""
    stand_in = typer.Typer(add_completion=False)

    @stand_in.command(
        name,
        short_help=f"(not in this environment, which has no {package})",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    def refuse(_: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        raise KontinualError(_lacks(f"kontinual {name}", package))

    return typer.main.get_command(stand_in)


def _lacks(command: str, package: str) -> str:
    return (
        f"`{command}` needs {package}, which this environment does not hold; run it "
        "where Kontinual is installed with the extra of that station (see setup.py)"
    )


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"kontinual {version('kontinual')}")
        raise typer.Exit


@app.callback()
def kontinual(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Continual learning: a model in production that stays good on its own.

    Every command takes the declaration of a loop (loop.yaml). The loop's state is in the folder
    .kontinual beside it, or in KONTINUAL_HOME; where else things are — Prometheus, the lake, the
    registry — is read from other KONTINUAL_* variables.
    """


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    ask_own_machine_directly()
    try:
        app(prog_name="kontinual")
    except KontinualError as exc:
        from kontinual.terminal import visible  # Rich is no part of every command

        print(visible(f"kontinual: {exc}"), file=sys.stderr)
        sys.exit(1)
    except OSError as exc:
        if exc.errno not in _REFUSALS:
            raise
        place = exc.filename or "the loop's state"
        print(f"kontinual: {place}: {exc.strerror}; {_WAY_OUT}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as exc:  # of what a command imports when it runs
        package = (exc.name or "").partition(".")[0]
        if package in ("", "kontinual"):
            raise
        command = " ".join(["kontinual", *sys.argv[1:2]])
        print(f"kontinual: {_lacks(command, package)}", file=sys.stderr)
        sys.exit(1)
