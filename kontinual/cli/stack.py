"""`kontinual up`, `down`, `status` and `logs`: the laptop stack."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kontinual.cli.example import labels_url, predict_url
from kontinual.cli.overview import overview
from kontinual.cli.service import LoopPath, open_loop
from kontinual.errors import ServiceError
from kontinual.home import owner_of, settings_of
from kontinual.local.addresses import with_free_addresses
from kontinual.local.readiness import tail
from kontinual.local.stack import ServiceStatus, Stack
from kontinual.masking import masked
from kontinual.rollout import EnvoyGateway
from kontinual.spec import InvalidLoop, Loop
from kontinual.terminal import coloured, plain_console, visible

__all__ = ["app"]

app = typer.Typer(
    help="Start, look at and stop the laptop stack.", no_args_is_help=True, add_completion=False
)

_COLOURS = {"ready": "green", "starting": "yellow", "failed": "red", "down": "dim"}


@app.command()
def up(
    loop: LoopPath,
    free_ports: Annotated[
        bool,
        typer.Option(
            "--free-ports", help="choose others where ports are taken, and keep to them from now on"
        ),
    ] = False,
) -> None:
    """Start every service of the loop and wait until all are ready.

    The stack stays up when this command ends; `kontinual down` stops it. Calling
    `up` again brings changed settings or a changed loop.yaml into force.

    A second loop on this machine needs ports of its own: KONTINUAL_GATEWAY_URL and the like name
    them, or --free-ports does, for all commands of this loop.
    """
    declared, settings = open_loop(loop)
    stack = Stack(settings, loop)
    if free_ports and not stack.supervisor.is_running():
        stack = Stack(with_free_addresses(settings), loop)
    with plain_console().status("starting") as spinner:
        stack.up(report=lambda name: spinner.update(f"{name} is ready"))
    _print(stack.status())
    _print_addresses(declared, stack, loop)


@app.command()
def down(loop: LoopPath) -> None:
    """Stop every service, runs of the pipeline first, and wait until all are gone."""
    with plain_console().status("stopping"):
        _stack_of(loop).down()
    plain_console().print("nothing of the stack runs any more")


@app.command()
def status(loop: LoopPath) -> None:
    """Show each service, how the loop fares, and where it is asked.

    Champion, run, pause and held triggers are told by the trigger service, the traffic by Envoy,
    what fires by Prometheus, the rows by the collector. Exit code 1 unless all services are ready.
    """
    declared, settings = open_loop(loop)
    stack = Stack(settings, loop)
    lines = stack.status()
    _print(lines)
    if all(line.state == "down" for line in lines):
        print(f"the stack is not up: kontinual up {loop}")
        raise typer.Exit(1)
    _print_overview(declared, stack, down={s.name for s in lines if s.state != "ready"})
    _print_addresses(declared, stack, loop)
    if any(line.state != "ready" for line in lines):
        raise typer.Exit(1)


@app.command()
def logs(
    loop: LoopPath,
    service: Annotated[str, typer.Argument(help="as `kontinual status` names it")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 50,
) -> None:
    """Show the end of a service's log."""
    stack = _stack_of(loop)
    known = [line.name for line in stack.status()]
    if service not in known:
        raise ServiceError(f"the stack has the services {', '.join(known)}, but got {service!r}")
    for line in tail(stack.supervisor.log_of(service), count=lines):
        typer.echo(visible(line))


def _stack_of(loop: str) -> Stack:
    """The stack of a declaration, also of one that became invalid since `up`."""
    try:
        _, settings = open_loop(loop)
    except InvalidLoop:
        settings = settings_of(loop)
        owner = owner_of(settings.home)
        if owner is None or owner.declaration != str(Path(loop).resolve()):
            raise
    return Stack(settings, loop)


def _print(lines: list[ServiceStatus]) -> None:
    table = Table("service", "state", "pid", "up for", "url", box=None)
    for line in lines:
        table.add_row(
            line.name,
            coloured(line.state, _COLOURS[line.state]),
            str(line.pid or ""),
            f"{line.uptime_seconds:.0f} s" if line.pid else "",
            masked(line.url),
        )
    console = plain_console()
    console.print(table)
    console.print(f"logs: kontinual logs LOOP SERVICE, or {lines[0].log.parent}", soft_wrap=True)


def _print_overview(loop: Loop, stack: Stack, *, down: Collection[str]) -> None:
    gateway = EnvoyGateway.of(stack.settings, stack.predictors)
    table = Table(box=None, show_header=False)
    for name, told in overview(loop, stack.settings, weights=gateway.weights, down=down):
        table.add_row(name, visible(told))
    plain_console().print(table)


def _print_addresses(loop: Loop, stack: Stack, path: str) -> None:
    """Where a person, and the program that wants predictions, goes on."""
    settings = stack.settings
    for name, told in {
        "predictions": f"POST {predict_url(loop, settings)}",
        "labels": f"POST {labels_url(settings)}",
        "example": f"kontinual example {path}",
        "page": f"{settings.trigger}; to steer there, sign in with the token in "
        f"{stack.files.token}",
    }.items():
        plain_console().print(masked(f" {name:<13}  {told}"), soft_wrap=True, highlight=False)
