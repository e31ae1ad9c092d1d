"""`kontinual run`: one run by hand, past the policy, but in the ledger."""

import shlex
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kontinual.cli.service import By, LoopPath, client_of, open_loop
from kontinual.settings import Settings
from kontinual.spec import Loop

if TYPE_CHECKING:
    from kontinual.trigger.client import TriggerClient

__all__ = ["app"]

app = typer.Typer(add_completion=False)
POLL_SECONDS = 0.5


@app.command()
def run(
    loop: LoopPath,
    run_id: Annotated[
        str | None, typer.Option(help="a new name; default: the loop's with the time")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of everything random in the run")] = 0,
    reason: Annotated[str, typer.Option(help="why; it stays in the ledger")] = "by hand",
    by: By = None,
) -> None:
    """Retrain now, past the trigger's policy: the first run of a loop, or one by hand.

    The trigger service writes it into the ledger, starts it and follows it; only a
    pause or a run in progress can hold it. Data, gates and rollout judge it like any other. Ctrl-C
    leaves the run to run. Where no service answers, it runs here and stays out of the ledger.
    `kontinual trigger` is the way through the policy. Exit code 1 when the run failed.
    """
    from kontinual.trigger.client import TriggerUnreachable

    declared, settings = open_loop(loop)
    try:
        client = client_of(declared, settings, by=by)
    except TriggerUnreachable as exc:
        typer.echo(f"kontinual: this run will not be in the ledger: {exc}", err=True)
        raise typer.Exit(_run_here(declared, settings, loop, run_id, seed)) from None
    with client:
        ended = _run_there(client, reason, run_id, seed)
    print(f"run {ended['id']}: {ended['outcome']}: {ended['reason']}")
    raise typer.Exit(ended["outcome"] in {"failed", "stopped"})


def _run_there(
    client: "TriggerClient", reason: str, run_id: str | None, seed: int
) -> dict[str, Any]:
    """Ask for the run, and show its log where it is on this machine."""
    name: dict[str, Any] = {} if run_id is None else {"run": run_id}
    trigger = client.ask(reason, past_policy=True, seed=seed, **name)
    if trigger["decision"] == "hold":
        client.withdraw(trigger["id"], "who asked for it does not wait")
    if trigger["run"] is None:
        typer.echo(f"kontinual: not started: {trigger['reason']}", err=True)
        raise typer.Exit(1)
    print(f"run {trigger['run']} (trigger {trigger['id']})")
    shown = 0
    while True:
        found = client.run(trigger["run"])
        shown = _show_log(found["process"], shown)
        if found["state"] == "ended":
            return found
        time.sleep(POLL_SECONDS)


def _show_log(process: dict[str, Any] | None, shown: int) -> int:
    """Print what a log on this machine has grown by; how far it is shown, in bytes."""
    log = Path((process or {}).get("folder", "/nowhere")) / "run.log"
    if not log.is_file():
        return shown
    with log.open("rb") as file:
        file.seek(shown)
        grown = file.read()
    typer.echo(grown, nl=False)
    return shown + len(grown)


def _run_here(loop: Loop, settings: Settings, path: str, run_id: str | None, seed: int) -> int:
    name = run_id or f"{loop.name}-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    command = [*shlex.split(settings.run_command), "--loop", path, "--run-id", name]
    return subprocess.run([*command, "--seed", str(seed)], check=False).returncode
