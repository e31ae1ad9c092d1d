"""When a trigger becomes a run: a pure function, rule by rule, with a reason in words.

A trigger is evidence, not an order. The rules are asked in their order and the
first that has something to say decides; when none has, the trigger is accepted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kontinual.spec import Action, Alert, AlertKind, Loop, format_duration, utc_text
from kontinual.trigger.contracts import (
    Answer,
    Decision,
    Evidence,
    PolicyState,
    Source,
    Trigger,
)

__all__ = ["RULES", "Case", "Policy", "PolicyJudge", "declared_alert", "run_id_of"]

DAY = timedelta(days=1)
DEFAULT_DECAY = 0.02  # half of it is "hurt" where the loop declares no quality_decay alert
NEEDS_NO_HARM = frozenset({AlertKind.NEW_LABELS})  # the declaration asks to learn from new rows


def declared_alert(loop: Loop, trigger: Trigger) -> Alert | None:
    """What the declaration says of a trigger's alert, if anything."""
    try:
        return loop.monitoring.alert(AlertKind(trigger.alert or ""))
    except ValueError:
        return None


@dataclass(frozen=True)
class Case:
    """All that is known when one trigger is judged."""

    trigger: Trigger
    evidence: Evidence
    state: PolicyState
    loop: Loop
    now: datetime
    speedup: float

    @property
    def is_manual(self) -> bool:
        return self.trigger.source is Source.MANUAL

    @property
    def alert(self) -> Alert | None:
        return declared_alert(self.loop, self.trigger)

    def real(self, declared: timedelta) -> timedelta:
        """A declared time span on the wall clock, at this speed-up."""
        return declared / self.speedup

    def suppress(self, rule: str, reason: str) -> Decision:
        return self._decide(Answer.SUPPRESS, rule, reason)

    def hold(self, rule: str, reason: str, *, until: datetime | None = None) -> Decision:
        return self._decide(Answer.HOLD, rule, reason, until=until)

    def accept(self, reason: str) -> Decision:
        return self._decide(Answer.ACCEPT, "accepted", reason)

    def _decide(
        self, answer: Answer, rule: str, reason: str, *, until: datetime | None = None
    ) -> Decision:
        seen = self.evidence.model_dump(mode="json", exclude_none=True)
        return Decision(answer=answer, rule=rule, reason=reason, evidence=seen, hold_until=until)


Rule = Callable[[Case], Decision | None]


def known_action(case: Case) -> Decision | None:
    """Alerts that only notify, or that the loop does not declare, start nothing."""
    if case.is_manual:
        return None
    if case.alert is None:
        return case.suppress(
            "known_action",
            f"the declaration of {case.loop.name} watches no {case.trigger.alert!r}, "
            "so nothing says what to do about it",
        )
    if case.alert.action is Action.NOTIFY:
        return case.suppress("known_action", f"{case.trigger.alert} only notifies")
    return None


def resolved(case: Case) -> Decision | None:
    """An alert that has resolved asks for nothing any more."""
    if case.trigger.resolved_at is None:
        return None
    return case.suppress(
        "resolved", f"the alert resolved at {utc_text(case.trigger.resolved_at)}, before a run"
    )


def metrics_available(case: Case) -> Decision | None:
    """Without Prometheus nothing is known, so nothing is started and nothing forgotten."""
    if case.evidence.unavailable is None:
        return None
    return case.hold(
        "metrics_available", f"Prometheus could not be asked again: {case.evidence.unavailable}"
    )


def still_true(case: Case) -> Decision | None:
    """What was true when the alert fired must be true now."""
    if case.is_manual or case.evidence.value is not None:
        return None
    return case.suppress("still_true", f"no longer true: {case.evidence.condition}")


def model_hurt(case: Case) -> Decision | None:
    """Moving input alone is no reason: labels, or the expected loss, must say it hurts.

    Labels speak first. Only where they say nothing yet does the expected log
    loss of the model's own scores stand in for them.
    """
    alert = case.alert
    if case.is_manual or alert is None or alert.kind.shows_harm or alert.kind in NEEDS_NO_HARM:
        return None
    decay, rise = case.evidence.quality_decay, case.evidence.expected_log_loss_rise
    if decay is not None:
        limit, what, seen = _half_decay(case.loop), "ROC AUC fell by", decay
    elif rise is not None:
        limit, what, seen = case.loop.trigger.max_expected_loss_rise, "expected log loss rose", rise
    else:
        return case.hold("model_hurt", f"{alert.kind} fires, but no figure says yet if it hurts")
    if seen > limit:
        return None
    return case.suppress(
        "model_hurt",
        f"the input moved but the model is not hurt: {what} {seen:.4f}, the limit is {limit:.4f}",
    )


def enough_labels(case: Case) -> Decision | None:
    """A retraining without new labelled rows learns nothing new."""
    needed, rows = case.loop.trigger.min_new_labels, case.evidence.matured_rows
    if needed == 0 or (rows is not None and rows >= needed):
        return None
    seen = "the collector reports none" if rows is None else f"{rows:.0f} are in"
    return case.hold("enough_labels", f"{needed} new labelled rows are needed, {seen}")


def run_in_progress(case: Case) -> Decision | None:
    """One run at a time."""
    running = case.state.run_in_progress
    if running is None:
        return None
    return case.hold("run_in_progress", f"run {running} is in progress")


def cooldown(case: Case) -> Decision | None:
    """After a run, the world gets time to show its effect."""
    ended = case.state.last_run_ended
    if ended is None:
        return None
    until = ended + case.real(case.loop.trigger.cooldown)
    if case.now >= until:
        return None
    length = format_duration(case.loop.trigger.cooldown)
    return case.hold(
        "cooldown",
        f"run {case.state.last_run} ended a short while ago; the cooldown of {length} "
        f"lasts until {utc_text(until)}",
        until=until,
    )


def daily_budget(case: Case) -> Decision | None:
    """No more runs in any 24 hours than the loop allows."""
    budget, day = case.loop.trigger.daily_budget, case.real(DAY)
    recent = sorted(s for s in case.state.started if s > case.now - day)
    if len(recent) < budget:
        return None
    until = recent[-budget] + day
    return case.hold(
        "daily_budget",
        f"{len(recent)} runs started in the last 24 hours, the budget is {budget}; "
        f"the next may start at {utc_text(until)}",
        until=until,
    )


RULES: tuple[Rule, ...] = (
    known_action,
    resolved,
    metrics_available,
    still_true,
    model_hurt,
    enough_labels,
    run_in_progress,
    cooldown,
    daily_budget,
)


class Policy:
    """The rules, for one loop at one speed."""

    def __init__(self, loop: Loop, *, speedup: float = 1.0) -> None:
        self.loop = loop
        self.speedup = speedup

    def asks_for_run(self, trigger: Trigger) -> bool:
        """Does a trigger ask for a retraining, by a person's word or the declaration's?"""
        alert = declared_alert(self.loop, trigger)
        asked = alert is not None and alert.action is Action.RETRAIN
        return trigger.source is Source.MANUAL or asked

    def judge(
        self, trigger: Trigger, evidence: Evidence, state: PolicyState, now: datetime
    ) -> Decision:
        """What to do about a trigger, given what is known now."""
        case = Case(trigger, evidence, state, self.loop, now, self.speedup)
        for rule in RULES:
            decision = rule(case)
            if decision is not None:
                return decision
        return case.accept(_why_accepted(case))


def run_id_of(loop: Loop, number: int, now: datetime) -> str:
    """The id of the run that a trigger becomes: a DNS label, such as flights-20261123t044501-7."""
    return f"{loop.name}-{now:%Y%m%dt%H%M%S}-{number}"


class PolicyJudge:
    """The policy with the evidence on one trigger, as the ledger asks for it."""

    def __init__(self, policy: Policy, evidence: Evidence) -> None:
        self._policy = policy
        self._evidence = evidence

    def __call__(self, trigger: Trigger, state: PolicyState, now: datetime) -> Decision:
        return self._policy.judge(trigger, self._evidence, state, now)

    def run_id(self, trigger: Trigger, now: datetime) -> str:
        return run_id_of(self._policy.loop, trigger.id, now)

    def joins(self, other: Trigger) -> bool:
        """What only notifies, or has resolved, gets an answer of its own."""
        return other.resolved_at is None and self._policy.asks_for_run(other)


def _half_decay(loop: Loop) -> float:
    alert = loop.monitoring.alert(AlertKind.QUALITY_DECAY)
    return (alert.threshold if alert else DEFAULT_DECAY) / 2


def _why_accepted(case: Case) -> str:
    rows = case.evidence.matured_rows or 0
    if case.is_manual:
        return f"asked for by a person, and {rows:.0f} new labelled rows are in"
    return (
        f"{case.trigger.alert} is still true at {case.evidence.value:.4g}, "
        f"and {rows:.0f} new labelled rows are in"
    )
