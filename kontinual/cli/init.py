"""`kontinual init`: a first declaration, drafted from a table of labelled rows."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kontinual.errors import SpecError
from kontinual.lake import draft_loop, read_table
from kontinual.spec import Loop, parse_duration
from kontinual.terminal import visible

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app"]

app = typer.Typer(add_completion=False)
_LOOKED_AT = 100_000  # rows that tell a leak as surely as all would


@app.command()
def init(
    table: Annotated[str, typer.Argument(help="parquet or CSV with labelled rows, or a glob")],
    label: Annotated[str, typer.Option(help="column to predict: 1 or 0")],
    time: Annotated[str, typer.Option(help="column with the moment of a prediction")],
    id_: Annotated[str, typer.Option("--id", help="column that identifies a row")],
    delay: Annotated[
        str, typer.Option(help="how long after a prediction its label is known, such as 6h or 2d")
    ] = "1d",
    name: Annotated[str | None, typer.Option(help="of the loop; default: the table's")] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="a column that is no feature, such as one that tells the label"),
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(help="of a number: COLUMN=UNIT, such as distance=miles")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="a new file")] = Path("loop.yaml"),
) -> None:
    """Draft a declaration from a table of labelled rows.

    Ranges, vocabularies and nulls are what the rows hold; lengths of time follow from how fast
    they come. The draft is valid, and a comment says why each number is as it is: read it.

        kontinual init history.parquet --label late --time departure --id flight_id --delay 2d
    """
    if out.exists():
        raise SpecError(f"--out {out}: there is a file already, which a person may have written")
    try:
        late = parse_duration(delay)
    except ValueError as exc:
        raise SpecError(f"--delay: {exc}") from exc
    frame = read_table(table, texts=[id_])
    draft = draft_loop(
        frame,
        name=name or _name(table),
        id=id_,
        time=time,
        label=label,
        history=_from(out, table),
        delay=late,
        leave_out=leave_out or [],
        units=_units(unit or []),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    except OSError as exc:
        raise SpecError(f"--out {out}: can not be written: {exc}") from exc
    data = draft.loop.data
    print(f"{out}: loop {draft.loop.name!r} with {len(data.features)} features")
    for column, reason in draft.left_out.items():
        print(visible(f"  left out {column}: {reason}"))
    for telling in _telling(frame, draft.loop):
        print(visible(f"  look at {telling}"))
    print(f"read it, then: kontinual check {out}")


def _telling(frame: "pd.DataFrame", loop: Loop) -> list[str]:
    """Features that seem to give the label away, for which validation would refuse a span."""
    from kontinual.lake.table import labels
    from kontinual.validation import declared
    from kontinual.validation.leakage import check_leakage

    expected, label = declared(loop), loop.data.label.name
    rows = frame if len(frame) <= _LOOKED_AT else frame.sample(_LOOKED_AT, random_state=0)
    known = rows.assign(**{label: labels(rows[label], source=loop.name)})
    return [
        f"{found.sentence}; if it is not known at the time of a prediction, "
        f"--leave-out {found.feature}"
        for found in check_leakage(known, None, label=label, expected=expected)
        if found.refuses
    ]


def _name(table: str) -> str:
    """The table's name as a loop's."""
    stem = table.rstrip("/").rpartition("/")[2].partition(".")[0].lower()
    joined = "-".join(re.findall(r"[a-z0-9]+", stem)).lstrip("0123456789-")
    return joined[:42].rstrip("-") or "loop"


def _units(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    wrong = [column + sign + unit for column, sign, unit in pairs if not (column and unit)]
    if wrong:
        raise SpecError(f"--unit is COLUMN=UNIT, such as distance=miles, but got {wrong[0]!r}")
    return {column: unit for column, _, unit in pairs}


def _from(out: Path, table: str) -> str:
    """The table as the declaration names it: from its own folder on."""
    if "://" in table or Path(table).is_absolute():
        return table
    return os.path.relpath(table, out.parent)
