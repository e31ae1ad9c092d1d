"""A run of its own kind: an earlier version becomes champion again, at once.

`python -m kontinual.steps.rollback --loop loop.yaml --run-id ID --trigger 7 [--version 3]` is
what the trigger starts. No figures are asked: a person, or an alert that the declaration
lets roll back, has decided. What is undone is the champion alone; data and versions stay.
"""

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Protocol

import typer

from kontinual.errors import GatewayError, KontinualError, TrackingError
from kontinual.interrupt import sigterm_interrupts
from kontinual.rollout import Gateway, Registry, RolloutStore
from kontinual.spec import Outcome, RunRecord
from kontinual.steps.rollout import collaborators
from kontinual.steps.station import station
from kontinual.tracking import Tracker

__all__ = ["History", "restore", "rollback"]

log = logging.getLogger(__name__)
BUSY_SECONDS = 60.0


def rollback(loop: str, run_id: str, *, trigger: str, version: str | None = None) -> RunRecord:
    """Make an earlier version champion, and record the run with its outcome.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        trigger: id of the ledger's trigger.
        version: to restore; left out, the champion before.

    Returns:
        The record: `restored`, or `failed` with the reason; then the champion is as before.
    """
    began = datetime.now(UTC)
    with station("rollback", loop, run_id) as here:
        parts = collaborators(here.loop, here.settings)
        registry, store = parts["registry"], parts["store"]
        try:
            former, now = restore(parts["gateway"], registry, store, version=version)
            outcome, reason = Outcome.RESTORED, f"version {now} is champion again, after {former}"
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
            champion=_champion(registry),
        )
        here.journal.finish(record)
        here.note(outcome=outcome.value, reason=reason, champion=record.champion)
        return record


class History(Registry, Protocol):
    """A registry that knows who was champion before."""

    def former_champion(self) -> str | None:
        """The newest version older than the champion that was champion itself."""


def restore(
    gateway: Gateway, registry: History, store: RolloutStore, *, version: str | None
) -> tuple[str, str]:
    """Give an earlier version all traffic and make it champion.

    The order is that of a rollout: ready, traffic, registry, and only then the one before
    is stopped. Before the registry has changed, an error or SIGTERM puts the traffic back.

    Returns:
        The champion before, and the one now.

    Raises:
        RolloutBusy: a rollout is at work.
        TrackingError: there is no such version, or none before.
        GatewayError: traffic could not be shifted.
        PromotionConflict: another version became champion meanwhile.
    """
    with store.lock(timeout=BUSY_SECONDS), sigterm_interrupts():
        champion = registry.champion()
        wanted = version or registry.former_champion()
        if champion is None or wanted is None:
            raise TrackingError(
                f"no version was champion before {champion}: name one by --version"
                if champion
                else "there is no champion yet, so nothing to go back from"
            )
        package = registry.package(wanted)
        gateway.deploy(wanted, package)
        try:
            gateway.shift({wanted: 100})
            registry.set_champion(wanted, expected=champion)
        except BaseException:
            if registry.champion() != wanted:
                gateway.shift({champion: 100})
            raise
        if champion != wanted:
            with suppress(GatewayError):  # it has no traffic; the next rollout cleans up
                gateway.retire(champion)
        return champion, wanted


def _champion(registry: Tracker) -> str | None:
    try:
        return registry.champion()
    except TrackingError:
        return None


def main(
    loop: Annotated[str, typer.Option(help="The declaration, loop.yaml.")],
    run_id: Annotated[str, typer.Option(help="A new name, a DNS label.")],
    trigger: Annotated[str, typer.Option(help="Id of the ledger's trigger.")],
    version: Annotated[
        str | None, typer.Option(help="To restore; left out, the champion before.")
    ] = None,
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
