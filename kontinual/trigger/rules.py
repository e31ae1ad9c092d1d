"""The rules by which a trigger becomes a run, in the order in which they are asked.

Each looks at one case, and suppresses, holds, or has nothing to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from kontinual.spec import (
    Action,
    Alert,
    AlertKind,
    Approval,
    Loop,
    format_duration,
    utc_text,
)
from kontinual.trigger.contracts import (
    Act,
    Answer,
    Decision,
    Evidence,
    PolicyState,
    RunKind,
    Source,
    Trigger,
)

__all__ = ["RULES", "Case", "Rule", "declared_alert", "half_decay", "kind_of"]

DAY = timedelta(days=1)
DEFAULT_DECAY = 0.02  # half of it is "hurt" where the loop declares no quality_decay alert
# New rows and the calendar are reasons of their own: the declaration asks to learn by them.
NEEDS_NO_HARM = frozenset({AlertKind.NEW_LABELS, AlertKind.MODEL_AGE})


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
    def is_alert(self) -> bool:
        return self.trigger.source is Source.ALERTMANAGER

    @property
    def by_person(self) -> bool:
        return self.trigger.source is Source.MANUAL

    @cached_property
    def alert(self) -> Alert | None:
        return declared_alert(self.loop, self.trigger)

    @cached_property
    def is_rollback(self) -> bool:
        return kind_of(self.trigger, self.alert) is RunKind.ROLLBACK

    @property
    def only_waits_for_others(self) -> bool:
        """Has a person taken the decision upon them, so that only a run in progress can hold it?"""
        return self.by_person and (self.is_rollback or self.trigger.wish.past_policy)

    def real(self, declared: timedelta) -> timedelta:
        """A declared time span on the wall clock, at this speed-up."""
        return declared / self.speedup

    def suppress(self, rule: str, reason: str) -> Decision:
        return Decision(answer=Answer.SUPPRESS, rule=rule, reason=reason)

    def hold(self, rule: str, reason: str, *, until: datetime | None = None) -> Decision:
        return Decision(answer=Answer.HOLD, rule=rule, reason=reason, hold_until=until)


Rule = Callable[[Case], Decision | None]


def resolved(case: Case) -> Decision | None:
    """An alert that has resolved asks for nothing any more."""
    if case.trigger.resolved_at is None:
        return None
    return case.suppress(
        "resolved", f"the alert resolved at {utc_text(case.trigger.resolved_at)}, before a run"
    )


def paused(case: Case) -> Decision | None:
    """Nothing starts while a person has paused the loop, but what a person rolls back."""
    everywhere, here = case.state.paused_everywhere, case.state.paused
    if case.by_person and case.is_rollback:
        return None
    if everywhere is not None:
        return case.hold("paused", f"all loops are paused by {_told(everywhere)}")
    if here is not None:
        return case.hold("paused", f"the loop is paused by {_told(here)}")
    return None


def known_action(case: Case) -> Decision | None:
    """Alerts that only notify, or that the loop does not declare, start nothing."""
    if not case.is_alert:
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


def metrics_available(case: Case) -> Decision | None:
    """Without Prometheus nothing is known, so nothing is started and nothing forgotten."""
    if case.evidence.unavailable is None or case.only_waits_for_others:
        return None
    return case.hold(
        "metrics_available", f"Prometheus could not be asked again: {case.evidence.unavailable}"
    )


def still_true(case: Case) -> Decision | None:
    """What was true when the alert fired must be true now."""
    if not case.is_alert or case.evidence.value is not None:
        return None
    return case.suppress("still_true", f"no longer true: {case.evidence.condition}")


def model_hurt(case: Case) -> Decision | None:
    """Moving input alone is no reason: labels, or the expected loss, must say it hurts.

    Labels speak first. Only where they say nothing yet does the expected log
    loss of the model's own scores stand in for them.
    """
    alert = case.alert
    if alert is None or alert.kind.shows_harm or alert.kind in NEEDS_NO_HARM or case.is_rollback:
        return None
    decay, rise = case.evidence.quality_decay, case.evidence.expected_log_loss_rise
    if decay is not None:
        limit, what, seen = half_decay(case.loop), "ROC AUC fell by", decay
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
    if case.is_rollback or case.only_waits_for_others:
        return None
    if needed == 0 or (rows is not None and rows >= needed):
        return None
    seen = "the collector reports none" if rows is None else f"{rows:.0f} are in"
    return case.hold("enough_labels", f"{needed} new labelled rows are needed, {seen}")


def restorable(case: Case) -> Decision | None:
    """There has to be a version to go back to: one that was champion before.

    An alert rolls back once: what was restored and is bad too, is for a person to look at.
    """
    former = case.state.restored_by
    if not case.is_rollback:
        return None
    if former is not None and not case.by_person:
        return case.suppress(
            "restorable",
            f"run {former} has rolled back already, and no version was promoted since: "
            "a person has to look",
        )
    if case.evidence.registry_unavailable is not None:
        why = case.evidence.registry_unavailable
        return case.hold("restorable", f"the registry could not be asked for the one before: {why}")
    wished, champions = case.trigger.wish.version, case.evidence.champions or []
    if wished is not None and wished not in champions:
        listed = ", ".join(champions) or "none"
        return case.suppress(
            "restorable", f"version {wished} was never champion; those that were: {listed}"
        )
    if wished is None and case.evidence.former is None:
        return case.suppress(
            "restorable", "no version was champion before: name one by `kontinual rollback --to`"
        )
    return None


def run_in_progress(case: Case) -> Decision | None:
    """One run at a time."""
    running = case.state.run_in_progress
    if running is None:
        return None
    return case.hold("run_in_progress", f"run {running} is in progress")


def cooldown(case: Case) -> Decision | None:
    """After a run, the world gets time to show its effect."""
    ended = case.state.last_run_ended
    if ended is None or case.is_rollback or case.only_waits_for_others:
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
    if len(recent) < budget or case.is_rollback or case.only_waits_for_others:
        return None
    until = recent[-budget] + day
    return case.hold(
        "daily_budget",
        f"{len(recent)} runs started in the last 24 hours, the budget is {budget}; "
        f"the next may start at {utc_text(until)}",
        until=until,
    )


def circuit(case: Case) -> Decision | None:
    """Runs that fail one after another fail for a reason that one more will not mend."""
    failures, last = case.state.failures, case.state.last_failure
    if failures < case.loop.trigger.max_failures or last is None:
        return None
    until = last + case.real(case.loop.trigger.circuit_reset)
    if case.is_rollback or case.only_waits_for_others or case.now >= until:
        return None
    return case.hold(
        "circuit",
        f"the last {failures} runs failed, so the circuit is open; one may try again at "
        f"{utc_text(until)}, or when a person closes it",
        until=until,
    )


def approval(case: Case) -> Decision | None:
    """A person agrees first, where the declaration asks for that."""
    asked = case.loop.trigger.approval
    if case.alert is not None and case.alert.approval is not None:
        asked = case.alert.approval
    if asked is Approval.NEVER or case.by_person or case.trigger.approved is not None:
        return None
    return case.hold("approval", "everything speaks for it; a person has to approve")


RULES: tuple[Rule, ...] = (
    resolved,
    paused,
    known_action,
    metrics_available,
    still_true,
    model_hurt,
    enough_labels,
    restorable,
    run_in_progress,
    cooldown,
    daily_budget,
    circuit,
    approval,
)


def declared_alert(loop: Loop, trigger: Trigger) -> Alert | None:
    """What the declaration says of a trigger's alert, if anything."""
    try:
        return loop.monitoring.alert(AlertKind(trigger.alert or ""))
    except ValueError:
        return None


def kind_of(trigger: Trigger, alert: Alert | None) -> RunKind:
    """Which kind of run a trigger asks for, by its own word or the declaration's."""
    if alert is not None and alert.action is Action.ROLLBACK:
        return RunKind.ROLLBACK
    return trigger.wish.kind


def _told(act: Act) -> str:
    return f"{act.by} since {utc_text(act.at)}: {act.reason}"


def half_decay(loop: Loop) -> float:
    """How far ROC AUC may fall before a model counts as hurt by drift."""
    alert = loop.monitoring.alert(AlertKind.QUALITY_DECAY)
    return (alert.threshold if alert else DEFAULT_DECAY) / 2
