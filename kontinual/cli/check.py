"""`kontinual check`: every mistake of a declaration, with its line."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kontinual.errors import LakeError, TrainingError
from kontinual.lake import history_columns
from kontinual.spec import Data, Location, Loop, format_duration, load_loop, misfits
from kontinual.training import check_trainer

FEW_BLOCKS = 5

app = typer.Typer(add_completion=False)


@app.command()
def check(
    loop: Annotated[Path, typer.Argument(help="the declaration (loop.yaml)")],
) -> None:
    """Check a declaration; every mistake is named with its line and what would be right.

    The columns are looked for in the history, if that can be read from here.
    """
    found = load_loop(str(loop))
    history, columns = _history(found, loop)
    problems = [*_missing(found.data, columns), *_untrainable(found)]
    if problems:
        raise misfits(str(loop), problems)
    watched = ", ".join(alert.kind.value for alert in found.monitoring.alerts)
    print(f"{loop}: loop {found.name!r} is valid")
    print(f"  features    {len(found.data.features)}, label {found.data.label.name!r}")
    print(f"  history     {history}")
    print(f"  held out    {_held_out(found.data)}")
    print(f"  algorithms  {', '.join(t.algorithm for t in found.training.trainers)}")
    print(f"  gates       {len(found.gates)}")
    print(f"  rollout     {' → '.join(f'{step} %' for step in found.rollout.steps)}")
    print(f"  watched     {watched}")


def _history(loop: Loop, path: Path) -> tuple[str, list[str] | None]:
    """What is to be said of the history, and its columns, if it can be read."""
    try:
        columns = history_columns(loop, base=str(path.resolve().parent))
    except LakeError as exc:
        return f"not looked at: {exc}", None
    return f"has the columns, of {len(columns)}", columns


def _missing(data: Data, columns: Sequence[str] | None) -> Iterator[tuple[Location, str]]:
    """Names of columns that the history has not."""
    named: dict[Location, str] = {
        ("data", "id"): data.id,
        ("data", "time"): data.time,
        ("data", "label", "name"): data.label.name,
    }
    named |= {("data", "features", i, "name"): f.name for i, f in enumerate(data.features)}
    for place, name in named.items():
        if columns is not None and name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            hint = f", did you mean `{close[0]}`?" if close else "."
            yield place, f"the history has no column {name!r}{hint} It has {', '.join(columns)}"


def _untrainable(loop: Loop) -> Iterator[tuple[Location, str]]:
    for i, declared in enumerate(loop.training.trainers):
        try:
            check_trainer(declared)
        except TrainingError as exc:
            yield ("training", "trainers", i, "algorithm"), str(exc)


def _held_out(data: Data) -> str:
    """How much the gates have to judge by."""
    blocks = round(data.span * data.holdout / data.holdout_block)
    length = format_duration(data.holdout_block)
    said = f"{data.holdout:.0%} in blocks of {length}, about {blocks} in a span"
    if blocks >= FEW_BLOCKS:
        return said
    return f"{said}: so few that gates prove little. Make holdout_block shorter or span longer"
