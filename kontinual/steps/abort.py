"""A run is asked to end, or has ended: what its rollout began is taken back.

`python -m kontinual.steps.abort --loop loop.yaml --run-id ID [--by ana]` is what the trigger
starts where no signal reached a run's steps: Kubeflow Pipelines ends a pod without a word to
the process in it, and a laptop may go out. A rollout that is at work is asked to put the champion
back, and waited for; one whose process has died is put back from here. Other runs' rollouts are
left alone.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from kontinual.errors import KontinualError
from kontinual.home import settings_of
from kontinual.lake import Lake
from kontinual.rollout import RolloutResult
from kontinual.rollout import abort as abort_rollout
from kontinual.spec import Loop, load_loop, utc_text
from kontinual.steps.rollout import STOP, collaborators

__all__ = ["abort", "take_back"]


def abort(loop: str, run_id: str, *, by: str | None = None) -> RolloutResult | None:
    """Take back what a run's rollout began; no rollout of the run begins after it.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        by: who asked the run to end; left out where it has ended by itself.

    Returns:
        How the rollout ended; None when there is nothing to take back.

    Raises:
        KontinualError: it could not be taken back; to be tried again.
    """
    declared, settings = load_loop(loop), settings_of(loop)
    journal = Lake(settings.lake_url, declared).journal(run_id)
    if by is not None:
        journal.note(STOP, {"by": by, "at": utc_text(datetime.now(UTC))})
    version = journal.notes().get("train", {}).get("version")
    if version is None:
        return None
    who = by or f"the trigger, as run {run_id} has ended"
    parts = collaborators(declared, settings)
    result = take_back(declared, parts, version=version, who=who)
    if result is not None:
        parts["registry"].set_challenger(None)
    return result


def take_back(loop: Loop, parts: dict[str, Any], *, version: str, who: str) -> RolloutResult | None:
    """Abort the rollout of a version; None when that has ended, or never was."""
    state = parts["store"].load()
    if state is None or state.phase.ended or state.challenger != version:
        return None
    return abort_rollout(loop, **parts, who=who)


def main(
    loop: Annotated[str, typer.Option(help="The declaration, loop.yaml.")],
    run_id: Annotated[str, typer.Option(help="The run's name.")],
    by: Annotated[str | None, typer.Option(help="Who asked the run to end.")] = None,
) -> None:
    """Take back what a run's rollout began."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        result = abort(loop, run_id, by=by)
    except KontinualError as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from exc
    told = f"{result.outcome.value}: {result.reason}" if result else "no rollout to take back"
    print(f"{run_id}: {told}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
