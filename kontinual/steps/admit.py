"""The first step: is there anything against this run?"""

from kontinual.errors import KontinualError
from kontinual.steps.station import station

__all__ = ["RunRefused", "admit"]


class RunRefused(KontinualError):
    """This run must not go on."""


def admit(loop: str, run_id: str, trigger: str) -> str:
    """Open the run's journal, so that all that follows is on record.

    Args:
        loop: URL of the declaration.
        run_id: the run's name; one journal is kept for each.
        trigger: id of the ledger's trigger, `manual` or `schedule`.

    Returns:
        The name of the loop.

    Raises:
        RunRefused: a run of this name has ended already.
    """
    with station("admit", loop, run_id) as here:
        if here.journal.record() is not None:
            raise RunRefused(f"run {run_id!r} has ended already; a new run needs a new name")
        here.note(trigger=trigger)
        return here.loop.name
