"""`kontinual span`: look at the spans of a lake, and decide on them as a person."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from kontinual.cli.service import LoopPath, open_loop
from kontinual.errors import SpecError
from kontinual.lake import Lake, Verdict
from kontinual.terminal import coloured, plain_console, visible

__all__ = ["app"]

app = typer.Typer(
    help="List the spans of a loop's lake, look at one, accept or reject it.",
    no_args_is_help=True,
    add_completion=False,
)

Number = Annotated[int, typer.Argument(metavar="N", min=1, help="number of the span")]
By = Annotated[str, typer.Option(help="your name; it stands in the verdict")]
Reason = Annotated[str, typer.Option(help="why; it stands in the verdict")]
_COLOURS = {"accepted": "green", "rejected": "red", "not judged": "yellow"}


@app.command("list")
def list_spans(loop: LoopPath) -> None:
    """Show every span: its time, its rows, and whether it may be learned from."""
    lake = _lake(loop)
    table = Table("span", "from", "to", "source", "verdict", "by", box=None)
    table.add_column("rows", justify="right")
    for span in lake.spans():
        verdict = lake.verdict(span.number)
        state = _state(verdict)
        table.add_row(
            str(span.number),
            f"{span.start:%Y-%m-%d %H:%M}",
            f"{span.end:%Y-%m-%d %H:%M}",
            span.source,
            coloured(state, _COLOURS[state]),
            verdict.by if verdict else "",
            f"{span.rows:,}",
        )
    plain_console().print(
        table if table.row_count else "no spans yet; see `kontinual ingest --help`"
    )


@app.command()
def show(loop: LoopPath, number: Number) -> None:
    """Show a span's manifest and every verdict on it; its data is checked against the digest."""
    lake = _lake(loop)
    span = lake.span(number)
    lake.read(number, [lake.loop.data.id])
    print(span.model_dump_json(indent=2))
    for verdict in lake.verdicts(number):
        print(visible(f"{_state(verdict)} by {verdict.by} at {verdict.at:%Y-%m-%d %H:%M:%S %Z}"))
        for reason in verdict.reasons:
            print(visible(f"  - {reason}"))


@app.command()
def accept(loop: LoopPath, number: Number, by: By, reason: Reason) -> None:
    """Let a span be learned from, over what validation says."""
    _judge(loop, number, accepted=True, by=by, reason=reason)


@app.command()
def reject(loop: LoopPath, number: Number, by: By, reason: Reason) -> None:
    """Let a span never be learned from, over what validation says."""
    _judge(loop, number, accepted=False, by=by, reason=reason)


def _judge(loop: str, number: int, *, accepted: bool, by: str, reason: str) -> None:
    name = by.strip()
    if not name or name == "validation":
        raise SpecError(f"--by is the name of a person, but got {by!r}")
    verdict = Verdict(
        span=number, accepted=accepted, reasons=[reason], by=name, at=datetime.now(UTC)
    )
    _lake(loop).judge(verdict)
    print(f"span {number} {_state(verdict)} by {name}")


def _lake(loop: str) -> Lake:
    declared, settings = open_loop(loop)
    return Lake(settings.lake_url, declared)


def _state(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not judged"
    return "accepted" if verdict.accepted else "rejected"
