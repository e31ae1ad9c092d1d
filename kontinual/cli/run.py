"""`kontinual run`: one run of the pipeline on this machine, by hand."""

import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kontinual.settings import Settings
from kontinual.spec import load_loop

app = typer.Typer()


@app.command()
def run(
    loop: Annotated[Path, typer.Argument(help="the declaration")],
    run_id: Annotated[
        str | None, typer.Option(help="a new name; default: the loop's with the time")
    ] = None,
    seed: Annotated[int, typer.Option(help="of everything random in the run")] = 0,
) -> None:
    """Retrain now, past the trigger's policy: the first run of a loop, or one by hand.

    Data, gates and rollout judge it like any other run. `kontinual trigger` is
    the way through the policy.
    """
    declared, settings = load_loop(str(loop)), Settings()
    name = run_id or f"{declared.name}-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    command = [*shlex.split(settings.run_command), "--loop", str(loop), "--run-id", name]
    ended = subprocess.run([*command, "--seed", str(seed)], check=False)
    raise typer.Exit(ended.returncode)
