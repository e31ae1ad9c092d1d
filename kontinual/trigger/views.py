"""Triggers and runs as the read API tells them."""

from typing import Any

from kontinual.trigger.contracts import Answer, Run, Trigger

__all__ = ["run_view", "trigger_view"]


def trigger_view(trigger: Trigger) -> dict[str, Any]:
    """One trigger; before its first decision it shows as held, by rule `not_examined`."""
    told = trigger.model_dump(mode="json", exclude={"decision"})
    decision = trigger.decision
    if decision is None:
        answer = {"decision": Answer.HOLD.value, "rule": "not_examined"}
        return told | answer | {"reason": "received, not examined yet", "hold_until": None}
    seen = decision.model_dump(mode="json")
    return told | {"decision": seen.pop("answer"), **seen}


def run_view(run: Run) -> dict[str, Any]:
    """One run; what its record says stands beside what the ledger knows."""
    told = run.model_dump(mode="json", exclude={"record"})
    ended = {"outcome": None, "reason": "", "version": None, "champion": None, "span": None}
    record = run.record.model_dump(mode="json") if run.record else {**ended, "steps": []}
    began = run.launched_at or run.accepted_at
    seconds = (run.ended_at - began).total_seconds() if run.ended_at else None
    return record | told | {"state": run.state.value, "seconds": seconds, "trigger": run.trigger}
