"""Whatever the declaration, the evidence and the state: what the policy promises.

The promises over time, of ledger, worker and policy together, are in test_invariants.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.spec import Approval, Loop
from kontinual.trigger import (
    Act,
    Answer,
    Decision,
    Evidence,
    Policy,
    PolicyState,
    RunKind,
    Source,
    Trigger,
    Wish,
)
from kontinual.trigger.rules import RULES

NOW = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
ACT = Act(by="ana", reason="so", at=NOW)
ORDER = [rule.__name__ for rule in RULES]
ALERTS = [
    *("quality_decay", "feature_drift", "new_labels", "model_age", "low_confidence"),
    *("prediction_drift", "group_bias", "unheard_of"),
]

moments = st.timedeltas(timedelta(0), timedelta(days=9)).map(lambda ago: NOW - ago)
figures = st.none() | st.floats(0, 0.2)
# What stops most cases is drawn rarely, so that the rules behind it are reached.
rare_acts = st.sampled_from([None] * 7 + [ACT])


@st.composite
def triggers(draw: st.DrawFn) -> Trigger:
    source = draw(st.sampled_from(Source))
    is_alert = source is Source.ALERTMANAGER
    wish = Wish(
        kind=draw(st.sampled_from(RunKind)),
        past_policy=source is Source.MANUAL and draw(st.booleans()),
        process=draw(st.sampled_from([None, None, {"kfp_run": "1"}])),
    )
    return Trigger(
        id=1,
        source=source,
        wish=Wish() if is_alert else wish,
        alert=draw(st.sampled_from(ALERTS)) if is_alert else None,
        fingerprint="aa" if is_alert else None,
        starts_at=NOW if is_alert else None,
        labels={},
        summary="",
        received_at=NOW,
        resolved_at=draw(st.sampled_from([None] * 7 + [NOW])) if is_alert else None,
        approved=draw(st.sampled_from([None, ACT])),
        held_since=draw(st.sampled_from([None, None, NOW - DAY, NOW - 8 * DAY])),
    )


evidences = st.builds(
    Evidence,
    unavailable=st.sampled_from([None] * 7 + ["down"]),
    condition=st.just("x > 1"),
    value=st.sampled_from([None] + [2.0] * 4),
    quality_decay=figures,
    expected_log_loss_rise=figures,
    matured_rows=st.sampled_from([None, 999.0, 1000.0, 1e6, 1e6]),
    queries=st.just([]),
    former=st.sampled_from([None, "3", "3", "3"]),
    champions=st.sampled_from([None, [], ["2", "3"]]),
    registry_unavailable=st.sampled_from([None] * 3 + ["503"]),
)
states = st.builds(
    PolicyState,
    paused=rare_acts,
    paused_everywhere=rare_acts,
    run_in_progress=st.sampled_from([None] * 7 + ["toy-1"]),
    last_run=st.just("toy-0"),
    last_run_ended=st.none() | moments,
    started=st.lists(moments, max_size=6).map(sorted),
    failures=st.integers(0, 4),
    last_failure=st.none() | moments,
    restored_by=st.sampled_from([None, "toy-0"]),
)
changes = st.fixed_dictionaries(
    {
        "min_new_labels": st.sampled_from([0, 1000]),
        "cooldown": st.sampled_from([timedelta(0), timedelta(hours=2), timedelta(days=3)]),
        "daily_budget": st.integers(1, 4),
        "max_failures": st.integers(1, 4),
        "approval": st.sampled_from(Approval),
    }
)
cases = given(
    changes=changes,
    speedup=st.sampled_from([1.0, 24.0]),
    trigger=triggers(),
    evidence=evidences,
    state=states,
)
often = settings(max_examples=200, deadline=None)


def policy_of(loop: Loop, changes: dict[str, Any], speedup: float) -> Policy:
    declared = loop.trigger.model_copy(update=changes)
    return Policy(loop.model_copy(update={"trigger": declared}), speedup=speedup)


def is_past_policy(trigger: Trigger) -> bool:
    """Has a person taken the decision upon them?"""
    by_person = trigger.source is Source.MANUAL
    return by_person and (trigger.wish.past_policy or trigger.wish.kind is RunKind.ROLLBACK)


@often
@cases
def test_every_input_is_decided_or_held_with_a_reason_by_the_first_rule_that_objects(
    loop: Loop,
    changes: dict[str, Any],
    speedup: float,
    trigger: Trigger,
    evidence: Evidence,
    state: PolicyState,
) -> None:
    decision = policy_of(loop, changes, speedup).judge(trigger, evidence, state, NOW)
    assert decision.answer in Answer
    assert decision.reason
    assert decision.passed == ORDER[: len(decision.passed)], "asked in their order, none left out"
    if decision.answer is Answer.ACCEPT:
        assert (decision.rule, decision.passed) == ("accepted", ORDER)
    else:
        assert decision.rule in {ORDER[len(decision.passed)], "hold_timeout"}
    if decision.hold_until is not None:
        assert decision.answer is Answer.HOLD
        assert decision.hold_until > NOW


@often
@cases
def test_an_accepted_run_breaks_no_limit_of_the_declaration(
    loop: Loop,
    changes: dict[str, Any],
    speedup: float,
    trigger: Trigger,
    evidence: Evidence,
    state: PolicyState,
) -> None:
    policy = policy_of(loop, changes, speedup)
    if policy.judge(trigger, evidence, state, NOW).answer is not Answer.ACCEPT:
        return
    rollback, by_person = policy.kind_of(trigger) is RunKind.ROLLBACK, is_past_policy(trigger)
    assert state.run_in_progress is None, "one run at a time"
    assert trigger.resolved_at is None
    if not (rollback and by_person):
        assert (state.paused, state.paused_everywhere) == (None, None), "paused is paused"
    if trigger.source is Source.ALERTMANAGER:
        assert evidence.value is not None, "what fired is still true"
    if not by_person:
        assert evidence.unavailable is None, "nothing is started blindly"
    if rollback:
        assert trigger.wish.version or evidence.former, "it is known where it goes"
    if rollback or by_person:
        return
    recent = [start for start in state.started if start > NOW - DAY / speedup]
    assert len(recent) < changes["daily_budget"], "this one is still within the budget"
    if state.last_run_ended is not None:
        assert NOW - state.last_run_ended >= changes["cooldown"] / speedup
    assert (evidence.matured_rows or 0) >= changes["min_new_labels"]


@often
@cases
def test_a_decision_follows_from_what_it_was_taken_by_and_nothing_else(
    loop: Loop,
    changes: dict[str, Any],
    speedup: float,
    trigger: Trigger,
    evidence: Evidence,
    state: PolicyState,
) -> None:
    def judged(seen: Evidence) -> Decision:
        return policy_of(loop, changes, speedup).judge(trigger, seen, state, NOW)

    decision = judged(evidence)
    kept = {k: v for k, v in decision.evidence.items() if k != "thresholds"}
    assert judged(evidence) == decision
    assert judged(Evidence.model_validate(kept)) == decision, "the ledger keeps all that it saw"
    for name, value in decision.evidence["thresholds"].items():
        assert name not in {"daily_budget", "max_failures"} or value == changes[name]


@often
@cases
def test_a_person_who_pauses_stops_whatever_would_have_been_accepted(
    loop: Loop,
    changes: dict[str, Any],
    speedup: float,
    trigger: Trigger,
    evidence: Evidence,
    state: PolicyState,
) -> None:
    policy = policy_of(loop, changes, speedup)
    for name in ("paused", "paused_everywhere"):
        stopped = state.model_copy(update={name: ACT})
        decision = policy.judge(trigger, evidence, stopped, NOW)
        person_rolls_back = is_past_policy(trigger) and trigger.wish.kind is RunKind.ROLLBACK
        assert person_rolls_back or decision.answer is not Answer.ACCEPT
