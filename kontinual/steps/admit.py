"""The first step: is there anything against this run?

A run is worked on by one job, such as one run of Kubeflow Pipelines: of two jobs of the same
run, which a lost answer can bring about, the second one is refused before it has written anything.
A run by the calendar was not asked for by the trigger, so it asks the trigger itself.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kontinual.errors import KontinualError
from kontinual.home import settings_of
from kontinual.lake import Lake, RunJournal
from kontinual.settings import Settings
from kontinual.spec import load_loop
from kontinual.steps.station import Station, station

if TYPE_CHECKING:
    from kontinual.trigger import TriggerClient

__all__ = ["RunRefused", "admit", "journal_of_job"]

SCHEDULE = "schedule"
WAIT_SECONDS = 120.0
Ask = Callable[[Settings], "TriggerClient"]


class RunRefused(KontinualError):
    """This run must not go on."""


def admit(loop: str, run_id: str, trigger: str, job: str = "", *, ask: Ask | None = None) -> str:
    """Open the run's journal, so that all that follows is on record.

    Args:
        loop: URL of the declaration.
        run_id: the run's name; one journal is kept for each. Empty: it is made from the job.
        trigger: id of the ledger's trigger, `manual` or `schedule`.
        job: what works on the run, as where it runs calls it.
        ask: opens the way to the trigger service.

    Returns:
        The name of the run.

    Raises:
        RunRefused: the run has ended already, is another job's, or the trigger is against it.
        ServiceError: the trigger can not be asked about a run by the calendar.
    """
    journal = journal_of_job(loop, run_id, job)
    if journal.record() is not None:
        raise RunRefused(f"run {journal.run_id!r} has ended already; a new run needs a new name")
    with station("admit", loop, journal.run_id) as here:
        if trigger == SCHEDULE:
            _ask_trigger(here, job, ask or _client)
        here.note(trigger=trigger)
    return journal.run_id


def journal_of_job(loop: str, run_id: str, job: str) -> RunJournal:
    """The journal of the run that a job works on.

    Args:
        loop: URL of the declaration.
        run_id: the run's name; empty: it is made from the job.
        job: what works on it; the first one has it for good.

    Raises:
        RunRefused: another job works on it, or nothing says what it is called.
    """
    if not run_id and not job:
        raise RunRefused("a run without a name needs a job to be named after")
    declared = load_loop(loop)
    name = run_id or f"{declared.name}-{job[:8]}"
    journal = Lake(settings_of(loop).lake_url, declared).journal(name)
    if not journal.take(job):
        raise RunRefused(f"run {name!r} is another job's; a new run needs a new name")
    return journal


def _ask_trigger(here: Station, job: str, ask: Ask) -> None:
    """Go the way of all triggers. A repeated step finds the answer that it was given."""
    # Only here: of the runs on a laptop none needs the clients of a cluster.
    from kontinual.cluster.kfp import Connection

    asked = here.journal.notes().get(SCHEDULE)
    if asked is None:
        link = Connection.of(here.settings).link(f"runs/details/{job}")
        with ask(here.settings).serving(here.loop.name) as client:
            asked = client.ask(
                "by the calendar",
                source=SCHEDULE,
                run=here.run_id,
                process={"kfp_run": job, "url": link},
                wait_seconds=WAIT_SECONDS,
            )
        here.journal.note(SCHEDULE, {k: asked[k] for k in ("id", "decision", "rule", "reason")})
    if asked["decision"] != "accept":
        raise RunRefused(
            f"trigger {asked['id']} is not accepted, by rule {asked['rule']}: {asked['reason']}"
        )


def _client(settings: Settings) -> "TriggerClient":
    from kontinual.trigger import TriggerClient

    return TriggerClient(settings.trigger, token=settings.token.get_secret_value())
