"""`kontinual ledger`: look at what was asked, decided and run, and check that it is whole."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from kontinual.cli.service import LoopPath, open_loop
from kontinual.masking import masked
from kontinual.settings import Settings
from kontinual.spec import utc_text
from kontinual.terminal import plain_console

if TYPE_CHECKING:
    from kontinual.trigger.ledger import Ledger

__all__ = ["app"]

app = typer.Typer(
    help="Look at the ledger, check it, take it away.", no_args_is_help=True, add_completion=False
)


@app.command()
def verify(
    loop: LoopPath,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="file that `ledger archive` wrote, the oldest first (repeat)"),
    ] = None,
) -> None:
    """Check that no entry was altered, removed or moved; exit 1 and name the first bad one.

    Keep the printed head hashes elsewhere: a later ledger must still hold them. What `pause --all`
    and `resume --all` wrote is a chain of its own, which is checked as well.
    """
    with _ledger(loop) as ledger:
        found = ledger.audit(archive or [])
    print(
        f"the ledger of {found.loop} is whole: {found.entries} entries, {found.triggers} triggers, "
        f"{found.runs} runs; head {found.head}"
    )
    if found.checked < found.entries:
        unseen = found.entries - found.checked
        print(f"{unseen} entries are in archives; give them by --archive to check them as well")
    if found.everywhere is not None and found.everywhere.entries:
        pauses = found.everywhere
        print(f"pauses of all loops are whole: {pauses.entries} entries; head {pauses.head}")


@app.command()
def migrate() -> None:
    """Bring the database of KONTINUAL_LEDGER to the shape that this version works with.

    A SQLite file is migrated whenever it is opened; a server's database only by this.
    """
    from kontinual.trigger.database import migrate as upgrade

    url = Settings().ledger_url
    before, now = upgrade(url)
    done = "is up to date" if before == now else f"was migrated from {before or 'nothing'}"
    print(f"ledger {masked(url)} {done}; revision {now}")


@app.command()
def archive(
    loop: LoopPath,
    before: Annotated[datetime, typer.Option(help="entries from before this moment (UTC)")],
    out: Annotated[Path, typer.Option(help="new file to move them to, one a line")],
) -> None:
    """Move old entries into a file. The chain keeps a checkpoint that seals what it holds."""
    from kontinual.trigger.archive import archive as move_out

    with _ledger(loop) as ledger:
        moment = before.replace(tzinfo=before.tzinfo or UTC)
        done = move_out(ledger, before=moment, path=out, by=getpass.getuser())
    if done is None:
        print(f"no entry is from before {utc_text(moment)}")
        return
    print(f"{done.entries} entries up to {done.through} are in {out}; sha256 {done.sha256}")


@app.command()
def export(
    loop: LoopPath,
    out: Annotated[
        Path | None, typer.Option(help="file to write; standard output when left out")
    ] = None,
) -> None:
    """Write every entry as one line of JSON, in the chain's order."""
    with _ledger(loop) as ledger:
        text = "".join(line + "\n" for line in ledger.export())
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")


@app.command()
def show(loop: LoopPath) -> None:
    """Show each trigger with its decision, and each run with its outcome."""
    with _ledger(loop) as ledger:
        triggers, runs = ledger.triggers(), ledger.runs()
    received = Column("received", overflow="fold")
    asked = Table("trigger", received, "alert", "decision", "reason", title="Triggers")
    for t in triggers:
        answer, reason = (t.decision.answer, t.decision.reason) if t.decision else ("…", "")
        asked.add_row(str(t.id), utc_text(t.received_at), t.alert or t.source, answer, reason)
    # As `kontinual stop` wants it: on a narrow terminal other columns give way.
    name = Column("run", overflow="fold", no_wrap=True)
    ran = Table(name, "trigger", "state", "outcome", "reason", title="Runs")
    for r in runs:
        reason = r.record.reason if r.record else ""
        ran.add_row(r.id, str(r.trigger), r.state, r.outcome or "…", reason)
    plain_console().print(asked, ran)


@contextmanager
def _ledger(loop: str) -> "Iterator[Ledger]":
    from kontinual.trigger.ledger import Ledger

    declared, settings = open_loop(loop)
    ledger = Ledger(settings.ledger_url, declared.name, must_exist=True)
    try:
        yield ledger
    finally:
        ledger.close()
