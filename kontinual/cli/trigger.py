"""`kontinual trigger`: ask for a retraining."""

from typing import Annotated

import typer

from kontinual.cli.service import By, LoopPath, Reason, client_of, open_loop
from kontinual.terminal import visible

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def trigger(
    loop: LoopPath,
    reason: Reason,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for the decision")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="of everything random in the run")] = 0,
    by: By = None,
) -> None:
    """Ask the running trigger service for a retraining, and print what it decides.

    A person's request passes the same door as an alert: enough new labels, one run at a time,
    cooldown and daily budget. What is held is looked at again until it can be decided.

        kontinual trigger examples/flights/loop.yaml --reason "new routes since Monday"
    """
    declared, settings = open_loop(loop)
    with client_of(declared, settings, by=by) as client:
        told = client.ask(reason, wait_seconds=wait, seed=seed)
    print(visible(f"trigger {told['id']}: {told['decision']} ({told['rule']}): {told['reason']}"))
    if told["run"]:
        print(f"run {told['run']}")
