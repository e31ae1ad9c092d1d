"""The recurring run of a loop, brought to what its declaration says."""

from kontinual.cluster.kfp import Recurrence, Recurring, RecurringRuns
from kontinual.publish.change import Change, Verb

__all__ = ["reconcile", "recurring_name"]


def recurring_name(loop: str) -> str:
    """What a loop's recurring run is called."""
    return f"{loop}-schedule"


def reconcile(
    api: RecurringRuns,
    name: str,
    there: list[Recurring],
    wanted: Recurrence | None,
    *,
    dry_run: bool = False,
) -> Change:
    """Leave one recurring run of this name, as wanted; none when none is wanted.

    A recurring run can not be changed, so another takes its place: made switched off,
    switched on when the old one is gone. Whatever interrupts this, no two start runs at the same
    time, and the next call goes on where it stopped.
    """
    same = [r for r in there if wanted and r.wanted and r.wanted.same_but_for_pause(wanted)]
    kept, others = same[:1], [r for r in there if r not in same[:1]]
    change = _change(name, kept, others, wanted)
    if dry_run or change.verb is Verb.UNCHANGED:
        return change
    identity, enabled = (kept[0].id, kept[0].enabled) if kept else (None, False)
    if wanted is not None and identity is None:
        enabled = wanted.enabled and not others
        identity = api.create(name, wanted.switched(enabled=enabled))
    for other in others:
        api.delete(other.id)
    if wanted is not None and identity is not None and enabled != wanted.enabled:
        api.switch(identity, enabled=wanted.enabled)
    return change


def _change(
    name: str, kept: list[Recurring], others: list[Recurring], wanted: Recurrence | None
) -> Change:
    if wanted is None:
        verb = Verb.REMOVED if others else Verb.UNCHANGED
    elif kept and not others and kept[0].enabled == wanted.enabled:
        verb = Verb.UNCHANGED
    else:
        verb = Verb.UPDATED if kept or others else Verb.CREATED
    return Change("recurring run", verb, name)
