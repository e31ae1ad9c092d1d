"""`kontinual check`: every mistake of a declaration, with its line."""

from pathlib import Path
from typing import Annotated

import typer

from kontinual.spec import Data, format_duration, load_loop
from kontinual.training import check_trainers

FEW_BLOCKS = 5

app = typer.Typer(add_completion=False)


@app.command()
def check(
    loop: Annotated[Path, typer.Argument(help="the declaration (loop.yaml)")],
) -> None:
    """Check a declaration; every mistake is named with its line and what would be right."""
    found = load_loop(str(loop))
    check_trainers(found)
    watched = ", ".join(alert.kind.value for alert in found.monitoring.alerts)
    print(f"{loop}: loop {found.name!r} is valid")
    print(f"  features    {len(found.data.features)}, label {found.data.label.name!r}")
    print(f"  held out    {_held_out(found.data)}")
    print(f"  algorithms  {', '.join(t.algorithm for t in found.training.trainers)}")
    print(f"  gates       {len(found.gates)}")
    print(f"  rollout     {' → '.join(f'{step} %' for step in found.rollout.steps)}")
    print(f"  watched     {watched}")


def _held_out(data: Data) -> str:
    """How much the gates have to judge by."""
    blocks = round(data.span * data.holdout / data.holdout_block)
    length = format_duration(data.holdout_block)
    said = f"{data.holdout:.0%} in blocks of {length}, about {blocks} in a span"
    if blocks >= FEW_BLOCKS:
        return said
    return f"{said}: so few that gates prove little. Make holdout_block shorter or span longer"
