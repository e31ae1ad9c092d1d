"""`kontinual pause`, `resume`, `approve`, … : a person steers what the loop does."""

from typing import Annotated, Any

import typer
from rich.text import Text

from kontinual.cli.service import By, LoopPath, Reason, client_of, open_loop, person
from kontinual.errors import SpecError
from kontinual.home import settings_of
from kontinual.spec import load_loop
from kontinual.terminal import plain_console, visible

__all__ = ["app"]

app = typer.Typer(help="Steer what a loop does.", no_args_is_help=True, add_completion=False)

Number = Annotated[int, typer.Argument(metavar="TRIGGER", min=1, help="number of the trigger")]
MaybeLoop = Annotated[
    str | None, typer.Argument(metavar="[LOOP]", help="path of loop.yaml; none with --all")
]
All = Annotated[
    bool,
    typer.Option(
        "--all",
        help="every loop of the ledger of this folder, or of KONTINUAL_LEDGER; those to come too",
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="write into the ledger's database, past the trigger service"),
]


@app.command()
def pause(
    reason: Reason,
    loop: MaybeLoop = None,
    everywhere: All = False,
    stop_runs: Annotated[
        bool, typer.Option("--stop-runs", help="ask what runs to end, too")
    ] = False,
    offline: Offline = False,
    by: By = None,
) -> None:
    """Let nothing start any more, until `kontinual resume`. What is asked meanwhile is held.

    `kontinual pause --all --stop-runs --reason "..."` is the kill switch. With --offline it needs
    no service: whoever can write the ledger's database (KONTINUAL_LEDGER) can stop all loops.
    With --stop-runs it can be given again, and to what is paused already.
    """
    name = _name(loop, everywhere=everywhere)
    if offline:
        with _control(loop, name) as control:
            control.pause(person(by), reason, everywhere=everywhere, stop_runs=stop_runs)
    else:
        with _client(loop, by) as client:
            client.pause(reason, everywhere=everywhere, stop_runs=stop_runs)
    and_more = ", and what runs is asked to end" if stop_runs else ""
    print(f"{_told(name)} paused: no run is started until `kontinual resume`{and_more}")


@app.command()
def resume(
    reason: Reason,
    loop: MaybeLoop = None,
    everywhere: All = False,
    offline: Offline = False,
    by: By = None,
) -> None:
    """Let the policy start runs again. A loop that is paused itself stays so after `--all`."""
    name = _name(loop, everywhere=everywhere)
    if offline:
        with _control(loop, name) as control:
            control.resume(person(by), reason, everywhere=everywhere)
    else:
        with _client(loop, by) as client:
            client.resume(reason, everywhere=everywhere)
    print(f"{_told(name)} resumed")


@app.command()
def approve(loop: LoopPath, trigger: Number, reason: Reason, by: By = None) -> None:
    """Agree to the run that a held trigger asks for; the policy's other rules have their say."""
    with _client(loop, by) as client:
        client.approve(trigger, reason)
    print(f"trigger {trigger} is approved; `kontinual ledger show` tells what becomes of it")


@app.command()
def reject(loop: LoopPath, trigger: Number, reason: Reason, by: By = None) -> None:
    """Decide against the run that a held trigger asks for, for good."""
    with _client(loop, by) as client:
        print(visible(f"trigger {trigger}: {client.reject(trigger, reason)['reason']}"))


@app.command()
def withdraw(loop: LoopPath, trigger: Number, reason: Reason, by: By = None) -> None:
    """Take back a trigger that is not decided yet."""
    with _client(loop, by) as client:
        print(visible(f"trigger {trigger}: {client.withdraw(trigger, reason)['reason']}"))


@app.command()
def stop(
    loop: LoopPath,
    run: Annotated[str, typer.Argument(metavar="RUN", help="as `kontinual ledger show` names it")],
    reason: Reason,
    wait: Annotated[bool, typer.Option(help="until it has ended")] = True,
    by: By = None,
) -> None:
    """Ask a run to end. A rollout puts the champion back to 100 % before it does."""
    with _client(loop, by) as client:
        client.stop(run, reason)
        print(f"run {run} is asked to end")
        if wait:
            ended = client.wait(run)
            print(visible(f"run {run}: {ended['outcome']}: {ended['reason']}"))


@app.command()
def rollback(
    loop: LoopPath,
    reason: Reason,
    to: Annotated[
        str | None, typer.Option(help="version to restore; the champion before when left out")
    ] = None,
    wait: Annotated[bool, typer.Option(help="until it is done")] = True,
    by: By = None,
) -> None:
    """Make an earlier version champion again, even while the loop is paused.

    It is a run of its own in the ledger, begun at once unless a run is in progress: then it waits
    for its end, which `kontinual stop` hastens, and this command with it. Ctrl-C leaves it to wait;
    `kontinual withdraw` takes it back. Exit code 0 when the champion is restored (with --no-wait:
    when that is asked for), else 1.
    """
    with _client(loop, by) as client:
        trigger = client.roll_back(reason, version=to)
        print(visible(f"trigger {trigger['id']}: {trigger['decision']}: {trigger['reason']}"))
        if trigger["decision"] == "hold":
            print(f"it waits; `kontinual withdraw {loop} {trigger['id']} --reason …` takes it back")
        if not wait:
            raise typer.Exit(trigger["decision"] == "suppress")
        if trigger["decision"] == "hold":
            trigger = _settled(client, trigger)
        if trigger["run"] is None:
            raise typer.Exit(1)
        ended = client.wait(trigger["run"])
    print(visible(f"run {ended['id']}: {ended['outcome']}: {ended['reason']}"))
    if ended["outcome"] != "restored":
        raise typer.Exit(1)


@app.command("close-circuit")
def close_circuit(loop: LoopPath, reason: Reason, by: By = None) -> None:
    """Let runs be started again after too many have failed in a row."""
    with _client(loop, by) as client:
        client.close_circuit(reason)
    print("the circuit is closed: failures are counted from 0 again")


def _settled(client: Any, trigger: dict[str, Any]) -> dict[str, Any]:
    """A held trigger, once it is decided; the reason for which it is held is shown meanwhile."""
    try:
        with plain_console().status(Text(trigger["reason"])) as shown:
            found: dict[str, Any] = client.settled(
                trigger["id"], seen=lambda seen: shown.update(Text(seen["reason"]))
            )
    except KeyboardInterrupt:
        print(f"trigger {trigger['id']} goes on waiting")
        raise typer.Exit(130) from None
    print(visible(f"trigger {found['id']}: {found['decision']}: {found['reason']}"))
    return found


def _client(loop: str | None, by: str | None) -> Any:
    declared, settings = (None, settings_of()) if loop is None else open_loop(loop)
    return client_of(declared, settings, by=by)


def _control(loop: str | None, name: str) -> Any:
    from kontinual.trigger.control import open_control

    return open_control(settings_of(loop).ledger_url, name)


def _name(loop: str | None, *, everywhere: bool) -> str:
    """Whom the act concerns; `*` is every loop."""
    if (loop is None) is not everywhere:
        raise SpecError("name either a loop (LOOP) or every loop (--all)")
    return "*" if loop is None else load_loop(loop).name


def _told(name: str) -> str:
    return "all loops are" if name == "*" else f"loop {name} is"
