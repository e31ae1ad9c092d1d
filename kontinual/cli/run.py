"""`kontinual run`: one run by hand, past the policy, but in the ledger."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from kontinual.cli.account import Account
from kontinual.cli.service import By, LoopPath, client_of, open_loop
from kontinual.home import require_writable
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.terminal import plain_console, visible

if TYPE_CHECKING:
    from kontinual.trigger.client import TriggerClient

__all__ = ["app"]

app = typer.Typer(add_completion=False)
POLL_SECONDS = 0.5
UNKNOWN = 3


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
    `kontinual trigger` is the way through the policy.

    Exit code 0 when the new version was promoted; 1 when it was not, whether data or model were
    rejected, it was rolled back, stopped, not started, or failed; 3 when the run goes on but could
    not be followed to its end.
    """
    from kontinual.trigger.client import LostSight, TriggerUnreachable

    declared, settings = open_loop(loop)
    try:
        client = client_of(declared, settings, by=by)
    except TriggerUnreachable as exc:
        typer.echo(f"kontinual: this run will not be in the ledger: {exc}", err=True)
        _end(_run_here(declared, settings, loop, run_id, seed))
    with client:
        name = _started(client, reason, run_id, seed)
        try:
            ended = _followed(client, declared, settings, name)
        except LostSight as exc:
            typer.echo(f"kontinual: {exc}; `kontinual status {loop}` tells more", err=True)
            raise typer.Exit(UNKNOWN) from None
        except KeyboardInterrupt:
            typer.echo(f"run {name} goes on; `kontinual stop {loop} {name} --reason …` ends it")
            raise typer.Exit(130) from None
    _end((name, ended["outcome"], ended["reason"]))


def _started(client: "TriggerClient", reason: str, run_id: str | None, seed: int) -> str:
    """Ask for the run; its id."""
    name: dict[str, Any] = {} if run_id is None else {"run": run_id}
    trigger = client.ask(reason, past_policy=True, seed=seed, **name)
    if trigger["decision"] == "hold":
        client.withdraw(trigger["id"], "who asked for it does not wait")
    if trigger["run"] is None:
        typer.echo(visible(f"kontinual: not started: {trigger['reason']}"), err=True)
        raise typer.Exit(1)
    print(f"run {trigger['run']} (trigger {trigger['id']})")
    return str(trigger["run"])


def _followed(client: "TriggerClient", loop: Loop, settings: Settings, name: str) -> dict[str, Any]:
    """The run, once it has ended; its steps are told as they end."""
    with _account(loop, settings, name) as look:
        places: list[str] = []

        def seen(run: dict[str, Any]) -> None:
            if not places and (place := _place(run["process"] or {})):
                places.append(place)
                print(place)
            look()

        return client.wait(name, seen=seen)


def _place(process: dict[str, Any]) -> str:
    """Where a person finds the details of a run."""
    if "folder" in process:
        return f"log: {process['folder']}/run.log"
    return f"details: {process['url']}" if "url" in process else ""


def _run_here(
    loop: Loop, settings: Settings, path: str, run_id: str | None, seed: int
) -> tuple[str, str, str]:
    """Run to the end, the details into the run's log; name, outcome and reason."""
    name = run_id or f"{loop.name}-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    require_writable(settings.home)
    log = settings.home.resolve() / "runs" / name / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"run {name}\nlog: {log}")
    command = [*shlex.split(settings.run_command), "--loop", path, "--run-id", name]
    with log.open("ab") as out, _account(loop, settings, name) as look:
        process = subprocess.Popen([*command, "--seed", str(seed)], stdout=out, stderr=out)
        try:
            while process.poll() is None:
                look()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            process.wait()  # it was interrupted as well, and takes back what it began
            raise
    return name, *_ending(_journal(loop, settings, name).record(), log)


def _ending(record: RunRecord | None, log: Path) -> tuple[str, str]:
    if record is not None:
        return record.outcome, record.reason
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = " | ".join([line.strip() for line in lines if line.strip()][-3:])
    return Outcome.FAILED, f"it left no record; its last lines: {last}"


@contextmanager
def _account(loop: Loop, settings: Settings, name: str) -> Iterator[Any]:
    """Tells the run's steps each time it is called, and what is at work meanwhile."""
    console = plain_console()
    account = Account(_journal(loop, settings, name).notes, console=console)
    with console.status("") as status:

        def look() -> None:
            step = account.look()
            status.update(step and f"{step} is at work")

        yield look
        look()


def _journal(loop: Loop, settings: Settings, name: str) -> Any:
    from kontinual.lake import Lake

    return Lake(settings.lake_url, loop).journal(name)


def _end(ended: tuple[str, str, str]) -> NoReturn:
    name, outcome, reason = ended
    print(visible(f"run {name}: {outcome}: {reason}"))
    raise typer.Exit(outcome != Outcome.PROMOTED)
