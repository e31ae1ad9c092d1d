"""What a run did, a line for each step, from what the steps wrote down."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.console import Console

from kontinual.errors import KontinualError

__all__ = ["Account", "Notes"]

Facts = dict[str, Any]
Notes = Callable[[], dict[str, Facts]]
REASONS = 5


class Account:
    """Tells each step once, when it has ended."""

    def __init__(self, notes: Notes, *, console: Console) -> None:
        """Begin with nothing told.

        Args:
            notes: reads the run's journal.
            console: where it is told.
        """
        self._notes = notes
        self._console = console
        self._told: dict[str, str] = {}

    def look(self) -> str:
        """Tell what has ended since; returns the name of the step at work, or nothing."""
        try:
            notes = self._notes()
        except (KontinualError, OSError):
            return ""  # a lake out of reach leaves the run to its log
        steps = {name: facts for name, facts in notes.items() if "started_at" in facts}
        at_work = ""
        for name, facts in sorted(steps.items(), key=lambda item: item[1]["started_at"]):
            ended = facts.get("ended_at")
            if ended is None:
                at_work = name
            elif self._told.get(name) != ended:
                self._told[name] = ended
                self._tell(name, facts)
        return at_work

    def _tell(self, name: str, facts: Facts) -> None:
        began, ended = (datetime.fromisoformat(facts[k]) for k in ("started_at", "ended_at"))
        seconds = (ended - began).total_seconds()
        line = f"{name:<10}{seconds:7.1f} s  {_verdict(name, facts)}"
        self._console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def _verdict(name: str, facts: Facts) -> str:
    """What a step came to, in words."""
    if "error" in facts:
        return f"failed: {facts['error']}"
    tell = _VERDICTS.get(name)
    try:
        return tell(facts) if tell else ""
    except (KeyError, TypeError, ValueError):
        return ""  # of another version of the library, and still in the log


def _ingest(facts: Facts) -> str:
    days = f"{facts['start'][:10]} to {facts['end'][:10]}"
    return f"span {facts['span']}: {facts['rows']:,} rows, {days}"


def _validate(facts: Facts) -> str:
    if facts["accepted"]:
        return f"span {facts['span']} is accepted"
    reasons: list[str] = facts["reasons"]
    more = [f"and {len(reasons) - REASONS} more"] if len(reasons) > REASONS else []
    return f"span {facts['span']} is rejected: {'; '.join([*reasons[:REASONS], *more])}"


def _tune(facts: Facts) -> str:
    metrics = facts["metrics"]
    scores = f"ROC AUC {metrics['roc_auc']:.4f}, log loss {metrics['log_loss']:.4f}"
    return f"{facts['trials']} trials; the best is {facts['algorithm']}: {scores}"


def _train(facts: Facts) -> str:
    return f"version {facts['version']}: {facts['algorithm']}"


def _evaluate(facts: Facts) -> str:
    return str(facts["reason"])


def _rollout(facts: Facts) -> str:
    return f"{facts['outcome']}: {facts['reason']}"


_VERDICTS: dict[str, Callable[[Facts], str]] = {
    "ingest": _ingest,
    "validate": _validate,
    "tune": _tune,
    "train": _train,
    "evaluate": _evaluate,
    "rollout": _rollout,
}
