"""`python -m kontinual.trigger`: the trigger service."""

import shlex
import sys
from typing import Annotated

import typer

from kontinual.errors import KontinualError
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import load_loop
from kontinual.tracking import Tracker
from kontinual.trigger.contracts import RunKind
from kontinual.trigger.launcher import LauncherByKind, LocalLauncher
from kontinual.trigger.logs import log_as_json
from kontinual.trigger.server import serve, split_command


def main(
    loop: Annotated[str, typer.Option(help="The declaration, loop.yaml.")],
    run_command: Annotated[
        str | None,
        typer.Option(
            help="Starts a run; --run-id ID and --trigger ID are added. "
            "KONTINUAL_RUN_COMMAND with --loop when left out."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to serve on; KONTINUAL_HOST when left out.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="HTTP port.")] = 18082,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do without credentials, on a loopback address only.")
    ] = False,
) -> None:
    """Record alerts, decide about them, start and follow the pipeline's runs.

    Where Prometheus, the ledger, the lake and the registry are is read from KONTINUAL_*.
    """
    log_as_json()
    try:
        declared, settings = load_loop(loop), Settings()
        lake = Lake(settings.lake_url, declared)
        retrain = split_command(run_command or f"{settings.run_command} --loop {shlex.quote(loop)}")
        rollback = [sys.executable, "-m", "kontinual.steps.rollback", "--loop", loop]
        launcher = LauncherByKind(
            {
                kind: LocalLauncher(
                    command,
                    settings.home.resolve() / "runs",
                    loop=declared,
                    records=lambda run_id: lake.journal(run_id).record(),
                )
                for kind, command in {RunKind.RETRAIN: retrain, RunKind.ROLLBACK: rollback}.items()
            }
        )
        tracker = Tracker(settings.tracking_uri, declared.name)
        serve(
            declared,
            settings,
            host=host or settings.host,
            port=port,
            launcher=launcher,
            champion=tracker,
            schedule=declared.schedule,
            insecure=insecure,
        )
    except KontinualError as exc:
        print(f"kontinual.trigger: {exc}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from exc


if __name__ == "__main__":
    typer.run(main)
