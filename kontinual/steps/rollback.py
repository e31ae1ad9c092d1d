"""A run of its own kind: an earlier version becomes champion again, at once.

`python -m kontinual.steps.rollback --loop loop.yaml --run-id ID --trigger 7 --version 3` is
what the trigger starts. No figures are asked: a person, or an alert that the declaration
lets roll back, has decided. What is undone is the champion alone; data and versions stay.

The version is named, so that the run may be begun again, on another host too: what one process
has done is done, and what a killed one left is completed.
"""

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from kontinual.errors import KontinualError, TrackingError
from kontinual.interrupt import sigterm_interrupts
from kontinual.lake import Lake, RunJournal
from kontinual.rollout import (
    Engine,
    Gateway,
    Metrics,
    Outcomes,
    Phase,
    Registry,
    RolloutState,
    RolloutStore,
    utc_now,
)
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord, load_loop
from kontinual.steps.rollout import collaborators
from kontinual.steps.station import station
from kontinual.tracking import Tracker

__all__ = ["restore", "rollback"]

log = logging.getLogger(__name__)
BUSY_SECONDS = 60.0
# Who began the same run may wait for a predictor to get ready; the lock of one that died gets free.
AGAIN_SECONDS = 3600.0


def rollback(loop: str, run_id: str, *, trigger: str, version: str) -> RunRecord:
    """Make an earlier version champion, and record the run with its outcome.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        trigger: id of the ledger's trigger.
        version: to restore.

    Returns:
        The record: `restored`, or `failed` with the reason; then the champion is as before.
        That of the process which began the same run, if it came to its end.
    """
    began = datetime.now(UTC)
    journal = Lake(Settings().lake_url, load_loop(loop)).journal(run_id)
    patience = AGAIN_SECONDS if "rollback" in journal.notes() else BUSY_SECONDS
    with station("rollback", loop, run_id) as here:
        parts = collaborators(here.loop, here.settings)
        try:
            with parts["store"].lock(timeout=patience):
                done = _done(journal)
                reason = done.reason if done else restore(here.loop, version=version, **parts)
            outcome = Outcome.RESTORED
        except KontinualError as exc:
            log.error("the rollback failed: %s", exc)
            outcome, reason = Outcome.FAILED, str(exc)
        record = RunRecord(
            id=run_id,
            loop=here.loop.name,
            trigger=trigger,
            outcome=outcome,
            reason=reason,
            started_at=began,
            ended_at=datetime.now(UTC),
            version=version,
            champion=_champion(parts["registry"]),
        )
        here.note(outcome=outcome.value, reason=reason, champion=record.champion)
        return journal.finish(record)


def restore(
    loop: Loop,
    *,
    version: str,
    gateway: Gateway,
    metrics: Metrics,
    outcomes: Outcomes,
    registry: Registry,
    store: RolloutStore,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Give an earlier version all traffic and make it champion. The caller holds the store's lock.

    It is a rollout that begins with its last phase, which is kept before anything is done: what a
    killed process leaves is completed by the same call, or by `kontinual rollout resume`, and
    undone by the next rollout. An error or SIGTERM before the registry has changed puts the
    traffic back.

    Returns:
        What was done, in a sentence.

    Raises:
        TrackingError: there is no such version, or no champion yet.
        KontinualError: it could not be done, and the champion is as before.
    """
    engine = Engine(loop, gateway, metrics, outcomes, registry, store, clock, sleep)
    _settle(engine, version)
    champion = registry.champion()
    if champion is None:
        raise TrackingError("there is no champion yet, so nothing to go back from")
    package = registry.package(version)
    if champion == version:
        gateway.deploy(version, package)
        gateway.shift({version: 100})
        return f"version {version} is champion again"
    state = RolloutState(
        loop=loop.name,
        champion=champion,
        owner=champion,
        challenger=version,
        packages={version: package},
        phase=Phase.PROMOTING,
        started_at=clock(),
        updated_at=clock(),
    )
    store.forget_abort()
    store.save(state)
    _promote(engine, state)
    return f"version {version} is champion again, after {champion}"


def _settle(engine: Engine, version: str) -> None:
    """Complete what a killed rollback to this version left; any other rollout is undone."""
    left = engine.store.load()
    if left is None or left.phase.ended:
        return
    if left.challenger != version or left.phase is not Phase.PROMOTING:
        engine.undo(left, "left unfinished")
    engine.run(left)


def _promote(engine: Engine, state: RolloutState) -> None:
    with sigterm_interrupts():
        try:
            engine.gateway.deploy(state.challenger, state.packages[state.challenger])
        except BaseException as exc:
            engine.undo(state, str(exc))
            engine.run(state)
            raise
        result = engine.run(state)
    if result.outcome is not Outcome.PROMOTED:
        raise KontinualError(result.reason)


def _done(journal: RunJournal) -> RunRecord | None:
    """The record of a run that another process has brought to its end."""
    kept = journal.record()
    return kept if kept is not None and kept.outcome is Outcome.RESTORED else None


def _champion(registry: Tracker) -> str | None:
    try:
        return registry.champion()
    except TrackingError:
        return None


def main(
    loop: Annotated[str, typer.Option(help="The declaration, loop.yaml.")],
    run_id: Annotated[str, typer.Option(help="A new name, a DNS label.")],
    trigger: Annotated[str, typer.Option(help="Id of the ledger's trigger.")],
    version: Annotated[str, typer.Option(help="To restore.")],
) -> None:
    """Make an earlier version champion again. Exit code 1 when that failed."""
    try:
        record = rollback(loop, run_id, trigger=trigger, version=version)
    except KontinualError as exc:
        print(f"kontinual.steps.rollback: {exc}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from exc
    print(record.model_dump_json(indent=2))  # noqa: T201
    raise SystemExit(record.outcome is Outcome.FAILED)


if __name__ == "__main__":
    typer.run(main)
