"""When a trigger becomes a run: a pure function, rule by rule, with a reason in words.

A trigger is evidence, not an order. The rules are asked in their order and the
first that has something to say decides; when none has, the trigger is accepted.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from kontinual.spec import Action, Loop, format_duration, utc_text
from kontinual.trigger.contracts import (
    Answer,
    Decision,
    Evidence,
    PolicyState,
    RunKind,
    Source,
    Trigger,
    Wish,
)
from kontinual.trigger.rules import (
    RULES,
    Case,
    declared_alert,
    half_decay,
    kind_of,
    paused,
)

__all__ = ["POLICY_VERSION", "Policy", "PolicyJudge", "longest_run", "run_id_of"]

POLICY_VERSION = "4"
"""Stands in every decision; it changes with any rule, their order, or what they look at."""

DAY = timedelta(days=1)


class Policy:
    """The rules, for one loop at one speed."""

    def __init__(self, loop: Loop, *, speedup: float = 1.0) -> None:
        self.loop = loop
        self.speedup = speedup

    def asks_for_run(self, trigger: Trigger) -> bool:
        """Does a trigger ask for a run, by somebody's word or the declaration's?"""
        alert = declared_alert(self.loop, trigger)
        asked = alert is not None and alert.action is not Action.NOTIFY
        return trigger.source is not Source.ALERTMANAGER or asked

    def kind_of(self, trigger: Trigger) -> RunKind:
        """Which kind of run a trigger asks for."""
        return kind_of(trigger, declared_alert(self.loop, trigger))

    def judge(
        self, trigger: Trigger, evidence: Evidence, state: PolicyState, now: datetime
    ) -> Decision:
        """What to do about a trigger, given what is known now."""
        case = Case(trigger, evidence, state, self.loop, now, self.speedup)
        passed: list[str] = []
        for rule in RULES:
            decision = rule(case)
            if decision is not None:
                return _signed(_no_longer_held(case, decision), case, passed)
            passed.append(rule.__name__)
        accepted = Decision(answer=Answer.ACCEPT, rule="accepted", reason=_why_accepted(case))
        return _signed(accepted, case, passed)

    def is_paused(self, trigger: Trigger, state: PolicyState, now: datetime) -> bool:
        """Does a person's pause hold what a trigger asks for, be it accepted already?"""
        case = Case(trigger, Evidence(), state, self.loop, now, self.speedup)
        return paused(case) is not None


def longest_run(loop: Loop) -> timedelta:
    """How long a run may take, or wait for its start: as declared, or its rollout and a day."""
    rollout = loop.rollout
    return loop.trigger.run_timeout or rollout.step_timeout * len(rollout.steps) + DAY


def run_id_of(loop: Loop, number: int, now: datetime) -> str:
    """The id of the run that a trigger becomes: a DNS label, such as flights-20261123t044501-7."""
    return f"{loop.name}-{now:%Y%m%dt%H%M%S}-{number}"


class PolicyJudge:
    """The policy with the evidence on each trigger, as the ledger asks for it."""

    def __init__(self, policy: Policy, evidence: Mapping[int, Evidence]) -> None:
        self._policy = policy
        self._evidence = evidence

    def __call__(self, trigger: Trigger, state: PolicyState, now: datetime) -> Decision:
        return self._policy.judge(trigger, self._seen(trigger), state, now)

    def wish(self, trigger: Trigger) -> Wish:
        """As asked, and complete: however often a rollback is begun, it goes to one version."""
        kind = self._policy.kind_of(trigger)
        former = self._seen(trigger).former if kind is RunKind.ROLLBACK else None
        version = trigger.wish.version or former
        return trigger.wish.model_copy(update={"kind": kind, "version": version})

    def run_id(self, trigger: Trigger, now: datetime) -> str:
        return trigger.wish.run or run_id_of(self._policy.loop, trigger.id, now)

    def joins(self, other: Trigger, accepted: Trigger) -> bool:
        """What only notifies, has resolved, or wishes something else gets an answer of its own."""
        same = self._policy.kind_of(other) is self._policy.kind_of(accepted)
        plain = other.source is Source.ALERTMANAGER or other.wish == Wish()
        return same and plain and other.resolved_at is None and self._policy.asks_for_run(other)

    def _seen(self, trigger: Trigger) -> Evidence:
        return self._evidence.get(trigger.id, Evidence())


def _no_longer_held(case: Case, decision: Decision) -> Decision:
    """A hold that has lasted too long, or that the asker can not wait for, is a no."""
    if decision.answer is not Answer.HOLD:
        return decision
    if case.trigger.wish.process is not None:
        return case.suppress(decision.rule, f"{decision.reason}; a run that goes on can not wait")
    since, longest = case.trigger.held_since, case.loop.trigger.longest_hold
    if since is None or case.now - since < case.real(longest):
        return decision
    return case.suppress(
        "hold_timeout",
        f"held since {utc_text(since)}, longer than {format_duration(longest)}; "
        f"the last reason was {decision.rule}: {decision.reason}",
    )


def _signed(decision: Decision, case: Case, passed: list[str]) -> Decision:
    """The decision with all that it was taken by."""
    evidence = case.evidence.model_dump(mode="json", exclude_none=True)
    return decision.model_copy(
        update={
            "policy": POLICY_VERSION,
            "passed": passed,
            "evidence": {**evidence, "thresholds": _thresholds(case)},
        }
    )


def _thresholds(case: Case) -> dict[str, Any]:
    """What the declaration says at the time of the decision."""
    found: dict[str, Any] = case.loop.trigger.model_dump(mode="json", exclude_none=True)
    if case.alert is not None:
        found["alert"] = case.alert.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**found, "quality_decay": half_decay(case.loop), "speedup": case.speedup}


def _why_accepted(case: Case) -> str:
    rows = f"and {case.evidence.matured_rows or 0:.0f} new labelled rows are in"
    approved = case.trigger.approved
    agreed = f"; approved by {approved.by}: {approved.reason}" if approved else ""
    if case.is_rollback:
        wished = case.trigger.wish.version
        former = f"version {case.evidence.former}, the champion before"
        to = former if wished is None else f"version {wished}"
        asked = "a person" if case.by_person else case.trigger.alert
        return f"asked for by {asked}: roll back to {to}{agreed}"
    if case.only_waits_for_others:
        return "asked for by a person, past the policy"
    if case.is_alert:
        value = case.evidence.value
        return f"{case.trigger.alert} is still true at {value:.4g}, {rows}{agreed}"
    askers = {Source.MANUAL: "a person", Source.SCHEDULE: "the schedule"}
    return f"asked for by {askers.get(case.trigger.source, 'new data')}, {rows}{agreed}"
