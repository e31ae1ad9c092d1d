"""`python -m kontinual.trigger`: the trigger service."""

import shlex
import sys
from typing import Annotated

import typer

from kontinual.errors import KontinualError
from kontinual.home import settings_of
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Loop, RunRecord, load_loop
from kontinual.tracking import Tracker
from kontinual.trigger.again import RepeatingLauncher
from kontinual.trigger.contracts import RunKind
from kontinual.trigger.launcher import Launcher, LauncherByKind, LocalLauncher
from kontinual.trigger.ledger import utc_now
from kontinual.trigger.logs import log_as_json
from kontinual.trigger.retreat import BegunRetreat, NoRetreat, ProcessRetreat, Retreat
from kontinual.trigger.server import serve, split_command


def main(
    loop: Annotated[str, typer.Option(help="The declaration, loop.yaml.")],
    run_command: Annotated[
        str | None,
        typer.Option(
            help="Starts a run on this machine; --run-id ID and --trigger ID are added. "
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
        declared, settings = load_loop(loop), settings_of(loop)
        lake = Lake(settings.lake_url, declared)
        launcher = _launcher(declared, settings, loop, run_command, lake)
        tracker = Tracker(settings.tracking_uri, declared.name)
        serve(
            declared,
            settings,
            host=host or settings.host,
            port=port,
            launcher=launcher,
            champion=tracker,
            notes=lambda run_id: lake.journal(run_id).notes(),
            # On Kubeflow it is a recurring run, which asks when it has been started.
            schedule=declared.schedule if settings.launcher == "local" else None,
            insecure=insecure,
        )
    except KontinualError as exc:
        print(f"kontinual.trigger: {exc}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from exc


def _launcher(
    declared: Loop, settings: Settings, loop: str, run_command: str | None, lake: Lake
) -> LauncherByKind:
    """Retrainings run where the settings say; a rollback is a process beside the service."""

    def local(
        command: list[str], folder: str = "runs", *, retreat: Retreat | None = None
    ) -> Launcher:
        place = settings.home.resolve() / folder
        return LocalLauncher(command, place, loop=declared, records=record, retreat=retreat)

    def record(run_id: str) -> RunRecord | None:
        return lake.journal(run_id).record()

    if settings.launcher == "kfp":
        from kontinual.cluster.kfp import Connection
        from kontinual.trigger.kfp_launcher import KfpLauncher

        retrain: Launcher = KfpLauncher(
            Connection.of(settings),
            loop=declared,
            loop_url=loop,
            pipeline=settings.kfp_pipeline,
            records=record,
            clock=utc_now,
            retreat=_retreat(settings, loop),
        )
    else:
        given = run_command or f"{settings.run_command} --loop {shlex.quote(loop)}"
        # What never began a rollout has failed at once, even where loop.yaml is the reason.
        retreat = BegunRetreat(_take_back(loop), lambda run_id: _has_begun(lake, run_id))
        retrain = local(split_command(given), retreat=retreat)
    command = [sys.executable, "-m", "kontinual.steps.rollback", "--loop", loop]
    attempts = [local(command), local(command, "runs-again")]
    rollback = RepeatingLauncher(attempts, records=record)
    return LauncherByKind({RunKind.RETRAIN: retrain, RunKind.ROLLBACK: rollback})


def _has_begun(lake: Lake, run_id: str) -> bool:
    return "rollout" in lake.journal(run_id).notes()


def _retreat(settings: Settings, loop: str) -> Retreat:
    """On KServe the rollout of a run is taken back by a process beside the service."""
    return NoRetreat() if settings.gateway != "kserve" else _take_back(loop)


def _take_back(loop: str) -> Retreat:
    return ProcessRetreat([sys.executable, "-m", "kontinual.steps.abort", "--loop", loop])


if __name__ == "__main__":
    typer.run(main)
