"""The last step, whatever happened: how did the run end, and why?"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kontinual.spec import Outcome, RolloutStep, RunRecord
from kontinual.steps.admit import journal_of_job
from kontinual.steps.station import station

__all__ = ["conclude", "record"]

STEPS = ["admit", "ingest", "validate", "tune", "train", "evaluate", "rollout"]
Notes = dict[str, dict[str, Any]]


def record(loop: str, run_id: str, trigger: str, job: str = "") -> RunRecord:
    """Close the run's journal with its outcome; the arguments are those of `admit`.

    Raises:
        RunRefused: the run is another job's, which will close it.
    """
    name = journal_of_job(loop, run_id, job).run_id
    with station("close", loop, name) as here:
        notes = here.journal.notes()
        outcome, reason = conclude(notes)
        finished = RunRecord(
            id=name,
            loop=here.loop.name,
            trigger=trigger,
            outcome=outcome,
            reason=reason,
            started_at=notes.get("admit", notes["close"])["started_at"],
            ended_at=datetime.now(UTC),
            version=notes.get("train", {}).get("version"),
            champion=_champion(notes),
            span=notes.get("ingest", {}).get("span"),
            steps=[RolloutStep(**s) for s in notes.get("rollout", {}).get("steps", [])],
        )
        here.journal.finish(finished)
        here.note(outcome=outcome.value, reason=reason)
        return finished


def _champion(notes: Notes) -> str | None:
    """Who serves after the run, as the last step that asked the registry knew it."""
    for step in ("rollout", "evaluate"):
        if "champion" in notes.get(step, {}):
            champion: str | None = notes[step]["champion"]
            return champion
    return None


def conclude(notes: Notes) -> tuple[Outcome, str]:
    """The outcome that the steps' notes add up to, with its reason in a sentence.

    A step without an end, or with an error, makes the run failed: nothing is
    taken for done that did not say so. A rollout that said how it went is believed,
    whatever came after.
    """
    for step in STEPS:
        if step == "rollout" and "outcome" in notes.get(step, {}):
            break
        if step in notes and "error" in notes[step]:
            return Outcome.FAILED, f"{step}: {notes[step]['error']}"
        if step in notes and "ended_at" not in notes[step]:
            return Outcome.FAILED, f"{step}: it was killed or never came to its end"
        if step not in notes:
            return Outcome.FAILED, f"{step}: it never started"
        if step == "validate" and not notes[step]["accepted"]:
            return Outcome.REJECTED_DATA, _refusal(notes[step])
        if step == "evaluate" and not notes[step]["blessed"]:
            return Outcome.REJECTED_MODEL, notes[step]["reason"]
    return Outcome(notes["rollout"]["outcome"]), notes["rollout"]["reason"]


def _refusal(note: Mapping[str, Any]) -> str:
    """Why the data was rejected, and who may say otherwise."""
    why = "; ".join(note["reasons"])
    accept = f"`kontinual span accept` span {note['span']}, then `kontinual run`"
    return f"{why}; right all the same? {accept}"
