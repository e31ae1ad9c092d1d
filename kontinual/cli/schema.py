"""`kontinual schema`: look at the schema that validation keeps, and evolve it."""

import getpass
import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kontinual.cli.service import LoopPath, open_loop
from kontinual.errors import KontinualError
from kontinual.interpreters import data_interpreter
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.terminal import plain_console

if TYPE_CHECKING:
    from kontinual.lake import Lake
    from kontinual.validation import Expectation, Proposal

__all__ = ["app"]

app = typer.Typer(
    help="Look at the schema that spans are held against, and evolve it. It is inferred once, of "
    "the first span and the declaration; after that only a person changes it.",
    no_args_is_help=True,
    add_completion=False,
)

SpanNumber = Annotated[int | None, typer.Option("--span", help="span; the newest when left out")]
OnlyFeatures = Annotated[
    list[str] | None, typer.Option("--feature", help="let the span widen this one only (repeat)")
]
Reset = Annotated[bool, typer.Option(help="forget what was accepted earlier")]

_INSIDE = "KONTINUAL_INSIDE_DATA_ENVIRONMENT"


@app.command()
def show(
    loop: LoopPath,
    text: Annotated[bool, typer.Option("--text", help="print TFDV's own text (pbtxt)")] = False,
) -> None:
    """Show the schema in force, and who made each version, when and why."""
    _in_data_environment("show", loop, *(["--text"] if text else []))
    from kontinual.validation import SchemaStore, ensure_schema
    from kontinual.validation.schema import expectations, to_text

    declared, lake = _open(loop)
    schema, about = ensure_schema(declared, lake)
    if text:
        print(to_text(schema), end="")
        return
    columns = Table("column", "type", "null", "values", title=f"Schema {about.version}")
    for name, expectation in expectations(schema).items():
        columns.add_row(name, *_row(expectation))
    versions = Table("version", "by", "at", "reason", "changes", title="Versions")
    for v in SchemaStore(lake).versions():
        versions.add_row(
            str(v.version), v.by, f"{v.at:%Y-%m-%d %H:%M}", v.reason, "\n".join(v.changes)
        )
    plain_console().print(columns, versions)


@app.command()
def diff(
    loop: LoopPath, span: SpanNumber = None, feature: OnlyFeatures = None, reset: Reset = False
) -> None:
    """Show what the declaration and a span would need changed, if the span were right."""
    _in_data_environment("diff", loop, *_options(span, feature, reset))
    declared, lake = _open(loop)
    _print(_propose(declared, lake, span, feature, reset))


@app.command()
def accept(
    loop: LoopPath,
    reason: Annotated[str, typer.Option(help="why the new schema is right, in a sentence")],
    span: SpanNumber = None,
    feature: OnlyFeatures = None,
    reset: Reset = False,
    by: Annotated[str | None, typer.Option(help="your name; that of the login by default")] = None,
) -> None:
    """Evolve the schema so that the declaration and a span fit it; a new version is kept.

    A span that was refused is judged again by the next run.
    """
    name = by or getpass.getuser()
    options = ["--reason", reason, "--by", name, *_options(span, feature, reset)]
    _in_data_environment("accept", loop, *options)
    from kontinual.validation import accept as put_into_force

    if not reason.strip() or not name.strip():
        raise KontinualError("accepting a schema needs a name (--by) and a reason (--reason)")
    declared, lake = _open(loop)
    proposal = _propose(declared, lake, span, feature, reset)
    _print(proposal)
    about = put_into_force(lake, proposal, by=name, reason=reason)
    if about:
        print(f"schema version {about.version} is in force, accepted by {about.by}")


def _propose(
    loop: Loop, lake: "Lake", span: int | None, features: list[str] | None, reset: bool
) -> "Proposal":
    from kontinual.validation import propose

    return propose(loop, lake, span=span, features=features or (), reset=reset)


def _print(proposal: "Proposal") -> None:
    version, span = proposal.about.version, proposal.span
    for name in proposal.missing:
        print(f"note: span {span} has no column `{name}`, which loop.yaml declares")
    if not proposal.changes:
        print(f"schema version {version} holds all that loop.yaml and span {span} ask for")
        return
    print(f"schema version {version}, for loop.yaml and span {span}, would change:")
    for change in proposal.changes:
        print(f"  {change}")


def _options(span: int | None, features: list[str] | None, reset: bool) -> list[str]:
    named = [] if span is None else ["--span", str(span)]
    named += [word for f in features or () for word in ("--feature", f)]
    return [*named, *(["--reset"] if reset else [])]


def _row(expectation: "Expectation") -> tuple[str, str, str]:
    nullable = "may be" if expectation.nullable else "never"
    if expectation.categorical:
        words = expectation.vocabulary
        more = f", … ({len(words)} values)" if len(words) > 8 else ""
        return expectation.type, nullable, ", ".join(words[:8]) + more
    low, high = (
        "unbounded" if b is None else f"{b:g}" for b in (expectation.low, expectation.high)
    )
    return expectation.type, nullable, f"[{low}, {high}] {expectation.unit}".rstrip()


def _open(loop: str) -> "tuple[Loop, Lake]":
    from kontinual.lake import Lake

    declared, settings = open_loop(loop)
    return declared, Lake(settings.lake_url, declared)


def _in_data_environment(*arguments: str) -> None:
    """Go on here when TFDV is here; else run the same command where it is, and end as it ends."""
    if importlib.util.find_spec("tensorflow_data_validation"):
        return
    if os.environ.get(_INSIDE):
        raise KontinualError(
            f"{sys.executable}: this interpreter has no TFDV; install images/data's requirements "
            "into its environment, or let KONTINUAL_DATA_PYTHON name another interpreter"
        )
    python = data_interpreter(Settings())
    script = "from kontinual.cli import main; main()"
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script, "schema", *arguments],
        env={**os.environ, _INSIDE: "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    raise typer.Exit(done.returncode)
