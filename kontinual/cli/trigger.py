"""`kontinual trigger`: ask for a retraining."""

from typing import Annotated

import typer

from kontinual.errors import ServiceError
from kontinual.settings import Settings
from kontinual.spec import load_loop

__all__ = ["app"]

app = typer.Typer()


@app.command()
def trigger(
    loop: Annotated[str, typer.Argument(metavar="LOOP", help="path of loop.yaml")],
    reason: Annotated[str, typer.Option(help="why; it stays in the ledger")],
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for the decision")] = 30.0,
) -> None:
    """Ask the running trigger service for a retraining, and print what it decides.

    A person's request passes the same door as an alert: enough new labels, one run at a time,
    cooldown and daily budget. What is held is looked at again until it can be decided.

        kontinual trigger examples/flights/loop.yaml --reason "new routes since Monday"
    """
    from kontinual.trigger.client import TriggerClient

    declared, settings = load_loop(loop), Settings()
    token = settings.token.get_secret_value()
    with TriggerClient(settings.trigger, token=token) as client:
        served = client.status()["loop"]
        if served != declared.name:
            raise ServiceError(
                f"the trigger service at {settings.trigger} serves the loop {served!r}, "
                f"not {declared.name!r}: set KONTINUAL_TRIGGER to the right one"
            )
        told = client.ask(reason, wait_seconds=wait)
    print(f"trigger {told['id']}: {told['decision']} ({told['rule']}): {told['reason']}")
    if told["run"]:
        print(f"run {told['run']}")
