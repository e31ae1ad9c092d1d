"""`kontinual ingest`: rows become spans of the lake."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from kontinual.cli.service import open_loop
from kontinual.errors import SpecError
from kontinual.lake import Lake, SpanManifest, ingest_history, ingest_labelled, ingest_table
from kontinual.spec import Loop
from kontinual.terminal import plain_console

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def ingest(
    loop: Annotated[Path, typer.Argument(metavar="LOOP", help="path of loop.yaml")],
    table: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="parquet or CSV file (or a glob) to take as one span"),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="cut the declared history into spans")
    ] = False,
    until: Annotated[
        datetime | None, typer.Option(help="of the history, take rows before this moment (UTC)")
    ] = None,
) -> None:
    """Write new rows into the lake as spans.

    Without an option, all rows whose labels have matured at the collector become
    one span. What was ingested before is not ingested twice. A span is learned
    from once it is accepted: by validation, or by you (`kontinual span accept`).
    """
    if table is not None and history:
        raise SpecError("choose one of --table and --history")
    if until is not None and not history:
        raise SpecError("--until belongs to --history")
    declared, settings = open_loop(loop)
    lake = Lake(settings.lake_url, declared)
    before = lake.next_number()
    if table is not None:
        spans = [ingest_table(lake, table=table)]
    elif history:
        spans = _history(declared, lake, base=str(loop.resolve().parent), until=until)
    else:
        spans = _labelled(declared, lake, collector=settings.collector)
    _tell(spans, before)


def _history(loop: Loop, lake: Lake, *, base: str, until: datetime | None) -> list[SpanManifest]:
    with _progress() as progress:
        task = progress.add_task("reading the history", total=None)

        def shown(done: int, total: int) -> None:
            progress.update(task, description="rows written", completed=done, total=total)

        return ingest_history(loop, lake, base=base, until=until, progress=shown)


def _labelled(loop: Loop, lake: Lake, *, collector: str) -> list[SpanManifest]:
    with _progress() as progress:
        task = progress.add_task("rows fetched from the collector", total=None)
        span = ingest_labelled(
            loop,
            lake,
            collector=collector,
            progress=lambda rows: progress.update(task, completed=rows),
        )
    return [span] if span else []


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=plain_console(stderr=True), transient=True)


def _tell(spans: list[SpanManifest], first_new: int) -> None:
    if not spans:
        print("nothing new: no row is later than what is in spans already")
    for span in spans:
        state = "written" if span.number >= first_new else "there already"
        print(
            f"span {span.number} {state}: {span.rows:,} rows, "
            f"{span.start:%Y-%m-%d %H:%M} to {span.end:%Y-%m-%d %H:%M}"
        )
