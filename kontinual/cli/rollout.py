"""`kontinual rollout`: look at a rollout, take it up again, or put the champion back."""

import getpass

import typer
from rich.table import Table

from kontinual.cli.service import LoopPath, open_loop
from kontinual.rollout import RolloutResult, RolloutState, open_store
from kontinual.rollout import (
    abort as abort_rollout,
)
from kontinual.rollout import (
    resume as resume_rollout,
)
from kontinual.spec import Loop, RolloutStep, utc_text
from kontinual.steps.rollout import collaborators
from kontinual.terminal import coloured, plain_console

__all__ = ["app"]

app = typer.Typer(
    help="Look at a rollout, take it up again, or put the champion back.",
    no_args_is_help=True,
    add_completion=False,
)

_COLOURS = {"passed": "green", "failed": "red", "inconclusive": "yellow"}


@app.command()
def status(loop: LoopPath) -> None:
    """Show the last rollout: its phase, what each step came to, and what it waits for."""
    declared, settings = open_loop(loop)
    store = open_store(declared, settings)
    state = store.load()
    if state is None:
        plain_console().print(f"{declared.name}: no rollout yet")
        return
    busy = store.busy()
    _print_state(state, busy=busy)
    if not state.phase.ended and not busy:
        plain_console().print(
            "No process is at work on it. `kontinual rollout resume` goes on, "
            "`kontinual rollout abort` puts the champion back to 100 %."
        )


@app.command()
def resume(loop: LoopPath) -> None:
    """Go on with a rollout whose process died, from the step where it was."""
    declared, settings = open_loop(loop)
    result = resume_rollout(declared, **collaborators(declared, settings), speedup=settings.speedup)
    _print_result(declared, result)


@app.command()
def abort(loop: LoopPath) -> None:
    """Give the champion 100 % of the traffic and retire the challenger.

    A rollout at work is asked to do so and waited for. Once the challenger is
    champion there is no way back by this command: it finishes then.
    """
    declared, settings = open_loop(loop)
    result = abort_rollout(declared, **collaborators(declared, settings), who=getpass.getuser())
    _print_result(declared, result)


def _print_result(loop: Loop, result: RolloutResult | None) -> None:
    if result is None:
        plain_console().print(f"{loop.name}: no rollout is unfinished")
        return
    _print_steps(result.steps)
    plain_console().print(
        f"{result.outcome.value}: {result.reason}. Champion: {result.champion or 'none'}",
    )


def _print_state(state: RolloutState, *, busy: bool) -> None:
    console = plain_console()
    at_work = ", at work" if busy else ""
    console.print(
        f"{state.loop}: challenger {state.challenger} against champion "
        f"{state.champion or 'none'}: {state.phase.value}{at_work}, "
        f"since {utc_text(state.updated_at)}",
    )
    _print_steps(state.steps)
    last = state.reason if state.phase.ended else state.last_verdict
    if last:
        console.print(last)


def _print_steps(steps: list[RolloutStep]) -> None:
    table = Table("weight", "verdict", "canary requests", "seconds", "reason", box=None)
    for step in steps:
        table.add_row(
            f"{step.weight} %",
            coloured(step.verdict, _COLOURS[step.verdict]),
            str(step.requests),
            f"{(step.ended_at - step.started_at).total_seconds():.0f}",
            step.reason,
        )
    if steps:
        plain_console().print(table)
