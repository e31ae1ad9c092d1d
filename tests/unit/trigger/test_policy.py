import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.spec import AlertKind, Loop
from kontinual.trigger import (
    Act,
    Answer,
    Decision,
    Evidence,
    Policy,
    PolicyState,
    RunKind,
    Source,
    Wish,
)
from kontinual.trigger.policy import POLICY_VERSION
from kontinual.trigger.rules import RULES
from tests.unit.trigger.conftest import NOW, trigger_of

GOOD = Evidence(condition="x > 1", value=2.0, quality_decay=0.05, matured_rows=5000, former="3")
Judged = Callable[..., Decision]


@pytest.fixture
def judged(loop: Loop) -> Judged:
    def judge(
        alert: str | None = "quality_decay",
        *,
        state: PolicyState | None = None,
        speedup: float = 1.0,
        **more: Any,
    ) -> Decision:
        evidence = {k: v for k, v in more.items() if k in Evidence.model_fields}
        told = {k: v for k, v in more.items() if k not in evidence}
        return Policy(loop, speedup=speedup).judge(
            trigger_of(alert, **told),
            GOOD.model_copy(update=evidence),
            state or PolicyState(),
            NOW,
        )

    return judge


def test_what_is_true_harmful_and_teachable_is_accepted(judged: Judged) -> None:
    decision = judged()
    assert decision.answer is Answer.ACCEPT
    assert decision.reason == (
        "quality_decay is still true at 2, and 5000 new labelled rows are in"
    )
    assert decision.evidence["matured_rows"] == 5000


def test_a_person_needs_no_alert_and_no_harm(judged: Judged) -> None:
    decision = judged(None, value=None, condition=None, quality_decay=0.0)
    assert decision.answer is Answer.ACCEPT
    assert decision.reason == "asked for by a person, and 5000 new labelled rows are in"


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        ("low_confidence", "low_confidence only notifies"),
        ("input_anomalies", "the declaration of toy watches no 'input_anomalies'"),
        ("DiskFull", "the declaration of toy watches no 'DiskFull'"),
    ],
)
def test_what_asks_for_no_run_starts_none(judged: Judged, alert: str, reason: str) -> None:
    decision = judged(alert)
    assert (decision.answer, decision.rule) == (Answer.SUPPRESS, "known_action")
    assert decision.reason.startswith(reason)


def test_an_alert_that_resolved_while_it_waited_is_suppressed(judged: Judged) -> None:
    decision = judged(resolved_at=NOW, unavailable="down")
    assert (decision.answer, decision.rule) == (Answer.SUPPRESS, "resolved")


@pytest.mark.parametrize("alert", ["quality_decay", None])
def test_without_prometheus_nothing_starts_and_nothing_is_forgotten(
    judged: Judged, alert: str | None
) -> None:
    decision = judged(alert, unavailable="no route")
    assert (decision.answer, decision.rule) == (Answer.HOLD, "metrics_available")
    assert decision.reason == "Prometheus could not be asked again: no route"


def test_what_is_no_longer_true_is_suppressed(judged: Judged) -> None:
    decision = judged(value=None)
    assert (decision.answer, decision.reason) == (Answer.SUPPRESS, "no longer true: x > 1")


@pytest.mark.parametrize(
    ("decay", "rise", "answer"),
    [
        (0.011, None, Answer.ACCEPT),  # more than half the threshold of quality_decay
        (0.010, None, Answer.SUPPRESS),
        (0.0, 9.0, Answer.SUPPRESS),  # labels are in, and they speak first
        (None, 0.021, Answer.ACCEPT),
        (None, 0.020, Answer.SUPPRESS),
        (None, None, Answer.HOLD),  # nobody can say
    ],
)
def test_moving_input_counts_only_where_the_model_is_hurt(
    judged: Judged, decay: float | None, rise: float | None, answer: Answer
) -> None:
    decision = judged("feature_drift", quality_decay=decay, expected_log_loss_rise=rise)
    assert decision.answer is answer
    assert decision.rule == ("accepted" if answer is Answer.ACCEPT else "model_hurt")


def test_without_an_alert_on_decay_a_fall_of_more_than_one_point_in_a_hundred_hurts(
    loop: Loop,
) -> None:
    alerts = [a for a in loop.monitoring.alerts if a.kind is not AlertKind.QUALITY_DECAY]
    monitoring = loop.monitoring.model_copy(update={"alerts": alerts})
    policy = Policy(loop.model_copy(update={"monitoring": monitoring}))
    for fall, answer in ((0.01, Answer.SUPPRESS), (0.0101, Answer.ACCEPT)):
        seen = GOOD.model_copy(update={"quality_decay": fall})
        decision = policy.judge(trigger_of("feature_drift"), seen, PolicyState(), NOW)
        assert decision.answer is answer


def test_a_suppressed_drift_says_why_with_figures(judged: Judged) -> None:
    assert judged("feature_drift", quality_decay=0.001).reason == (
        "the input moved but the model is not hurt: ROC AUC fell by 0.0010, the limit is 0.0100"
    )


def test_harm_itself_new_labels_and_the_calendar_need_no_other_harm(judged: Judged) -> None:
    assert judged("model_age", quality_decay=0.0).answer is Answer.ACCEPT
    assert judged("quality_decay", quality_decay=None).answer is Answer.ACCEPT
    assert judged("new_labels", quality_decay=0.0).answer is Answer.ACCEPT


def test_as_many_new_labels_as_are_asked_for_are_enough(judged: Judged) -> None:
    assert judged(matured_rows=1000).answer is Answer.ACCEPT


@pytest.mark.parametrize("rows", [None, 0, 999])
def test_without_new_labels_a_retraining_would_learn_nothing(
    judged: Judged, rows: float | None
) -> None:
    decision = judged(matured_rows=rows)
    assert (decision.answer, decision.rule) == (Answer.HOLD, "enough_labels")
    assert decision.reason.startswith("1000 new labelled rows are needed, ")


def test_one_run_at_a_time(judged: Judged) -> None:
    decision = judged(state=PolicyState(run_in_progress="toy-9"))
    assert (decision.answer, decision.reason) == (Answer.HOLD, "run toy-9 is in progress")


@pytest.mark.parametrize("speedup", [1.0, 1000.0])
def test_the_cooldown_lasts_to_the_moment_it_names(judged: Judged, speedup: float) -> None:
    length = timedelta(hours=2) / speedup
    early = PolicyState(last_run="toy-9", last_run_ended=NOW - length + timedelta(milliseconds=1))
    decision = judged(state=early, speedup=speedup)
    assert (decision.answer, decision.rule) == (Answer.HOLD, "cooldown")
    assert decision.hold_until == NOW + timedelta(milliseconds=1)
    over = PolicyState(last_run="toy-9", last_run_ended=NOW - length)
    assert judged(state=over, speedup=speedup).answer is Answer.ACCEPT


@pytest.mark.parametrize("speedup", [1.0, 1000.0])
def test_the_budget_is_free_again_a_day_after_the_oldest_start(
    judged: Judged, speedup: float
) -> None:
    day = timedelta(days=1) / speedup
    starts = [NOW - day * share for share in (1.2, 0.9, 0.5, 0.1)]
    decision = judged(state=PolicyState(started=starts), speedup=speedup)
    assert (decision.answer, decision.rule) == (Answer.HOLD, "daily_budget")
    assert decision.hold_until == starts[1] + day
    assert judged(state=PolicyState(started=starts[:3]), speedup=speedup).answer is Answer.ACCEPT
    three = [NOW - day, NOW - day / 2, NOW - day / 4]
    assert judged(state=PolicyState(started=three), speedup=speedup).answer is Answer.ACCEPT


def test_after_more_runs_than_the_budget_as_many_have_to_be_a_day_old(judged: Judged) -> None:
    """A person's runs count, too, and no budget holds them."""
    starts = [NOW - timedelta(hours=ago) for ago in (20, 16, 12, 8, 4)]
    decision = judged(state=PolicyState(started=starts))
    assert (decision.answer, decision.rule) == (Answer.HOLD, "daily_budget")
    assert decision.hold_until == starts[2] + timedelta(days=1), "then two are left, of three"


PAUSE = Act(by="ana", reason="a holiday", at=NOW)


@pytest.mark.parametrize("everywhere", ["paused", "paused_everywhere"])
@pytest.mark.parametrize("source", Source)
def test_while_paused_nothing_is_accepted_but_what_a_person_rolls_back(
    judged: Judged, source: Source, everywhere: str
) -> None:
    state = PolicyState(**{everywhere: PAUSE})
    decision = judged(source=source, state=state)
    assert (decision.answer, decision.rule) == (Answer.HOLD, "paused")
    assert "paused by ana since 2026-01-10T12:00:00.000Z: a holiday" in decision.reason
    undo = judged(source=source, state=state, wish=Wish(kind=RunKind.ROLLBACK))
    assert (undo.answer is Answer.ACCEPT) == (source is Source.MANUAL)


@pytest.mark.parametrize("source", [Source.SCHEDULE, Source.NEW_DATA])
def test_the_calendar_and_new_data_need_no_harm_but_rows(judged: Judged, source: Source) -> None:
    assert judged(source=source, value=None, quality_decay=None).answer is Answer.ACCEPT
    assert judged(source=source, matured_rows=3).rule == "enough_labels"


def test_past_the_policy_only_a_pause_or_a_run_holds_a_person(judged: Judged) -> None:
    past = Wish(past_policy=True)
    busy: dict[str, Any] = {"started": [NOW] * 9, "last_run": "toy-8", "last_run_ended": NOW}
    spent = PolicyState(**busy, failures=9, last_failure=NOW)
    decision = judged(None, wish=past, state=spent, unavailable="down", matured_rows=0)
    assert (decision.answer, decision.reason) == (
        Answer.ACCEPT,
        "asked for by a person, past the policy",
    )
    running = PolicyState(run_in_progress="toy-9")
    assert judged(None, wish=past, state=running).rule == "run_in_progress"
    assert judged(None, wish=past, state=PolicyState(paused=PAUSE)).rule == "paused"


def test_an_alert_may_roll_back_once_and_then_a_person_has_to_look(judged: Judged) -> None:
    cooled = PolicyState(last_run="toy-8", last_run_ended=NOW, started=[NOW] * 9)
    decision = judged("prediction_drift", state=cooled, quality_decay=None, matured_rows=0)
    assert decision.answer is Answer.ACCEPT, "right after a promotion is when it is needed"
    to = "roll back to version 3, the champion before"
    assert decision.reason == f"asked for by prediction_drift: {to}"
    again = judged("prediction_drift", state=PolicyState(restored_by="toy-9"))
    assert (again.answer, again.rule) == (Answer.SUPPRESS, "restorable")
    assert judged("prediction_drift", value=None).rule == "still_true"


@pytest.mark.parametrize("alert", ["prediction_drift", None])
def test_a_rollback_needs_a_version_to_go_back_to(judged: Judged, alert: str | None) -> None:
    undo = Wish(kind=RunKind.ROLLBACK)
    none = judged(alert, wish=undo, former=None)
    assert (none.answer, none.rule) == (Answer.SUPPRESS, "restorable")
    assert none.reason.startswith("no version was champion before: name one")
    unknown = judged(alert, wish=undo, former=None, registry_unavailable="503")
    assert (unknown.answer, unknown.rule) == (Answer.HOLD, "restorable")
    assert "503" in unknown.reason


def test_a_person_can_name_only_a_version_that_was_champion(judged: Judged) -> None:
    undo = Wish(kind=RunKind.ROLLBACK, version="3")
    refused = judged(None, wish=undo, champions=["1", "4"])
    assert (refused.answer, refused.rule) == (Answer.SUPPRESS, "restorable")
    assert refused.reason == "version 3 was never champion; those that were: 1, 4"
    unknown = judged(None, wish=undo, registry_unavailable="503")
    assert (unknown.answer, unknown.rule) == (Answer.HOLD, "restorable")
    assert judged(None, wish=undo, champions=["1", "3"]).answer is Answer.ACCEPT


def test_a_person_rolls_back_whatever_the_figures_say(judged: Judged) -> None:
    undo = Wish(kind=RunKind.ROLLBACK, version="3")
    state = PolicyState(restored_by="toy-9", failures=9, last_failure=NOW, last_run_ended=NOW)
    decision = judged(None, wish=undo, state=state, unavailable="down", champions=["3", "4"])
    assert decision.reason == "asked for by a person: roll back to version 3"
    assert (
        judged(None, wish=undo, state=PolicyState(run_in_progress="x"), champions=["3"]).answer
        is Answer.HOLD
    )


def test_after_failures_in_a_row_one_run_may_try_when_the_circuit_is_half_open(
    judged: Judged,
) -> None:
    day = timedelta(days=1)
    assert judged(state=PolicyState(failures=2, last_failure=NOW)).answer is Answer.ACCEPT
    opened = PolicyState(failures=3, last_failure=NOW - day + timedelta(milliseconds=1))
    decision = judged(state=opened)
    assert (decision.answer, decision.rule) == (Answer.HOLD, "circuit")
    assert decision.hold_until == NOW + timedelta(milliseconds=1)
    half_open = PolicyState(failures=3, last_failure=NOW - day)
    assert judged(state=half_open).answer is Answer.ACCEPT


def test_an_alert_that_needs_approval_waits_for_a_person_when_all_else_speaks_for_it(
    judged: Judged,
) -> None:
    assert judged("group_bias", matured_rows=0).rule == "enough_labels", "approval comes last"
    decision = judged("group_bias")
    assert (decision.answer, decision.rule) == (Answer.HOLD, "approval")
    agreed = Act(by="ana", reason="seen", at=NOW)
    decision = judged("group_bias", approved=agreed)
    assert decision.answer is Answer.ACCEPT
    assert decision.reason.endswith("; approved by ana: seen")
    assert judged("group_bias", approved=agreed, value=None).rule == "still_true"


def test_what_is_held_too_long_is_suppressed_with_its_last_reason(judged: Judged) -> None:
    week = timedelta(days=7)
    early = judged(held_since=NOW - week + timedelta(milliseconds=1), matured_rows=0)
    assert early.rule == "enough_labels"
    decision = judged(held_since=NOW - week, matured_rows=0)
    assert (decision.answer, decision.rule) == (Answer.SUPPRESS, "hold_timeout")
    assert decision.reason == (
        "held since 2026-01-03T12:00:00.000Z, longer than 1w; the last reason was "
        "enough_labels: 1000 new labelled rows are needed, 0 are in"
    )
    assert judged(held_since=NOW - week).answer is Answer.ACCEPT, "what is ripe is not too late"
    fast = judged(held_since=NOW - week / 1000, matured_rows=0, speedup=1000.0)
    assert fast.rule == "hold_timeout", "a declared length of time passes faster in a demo"


def test_a_run_that_goes_on_already_is_admitted_or_refused_at_once(judged: Judged) -> None:
    adopted = Wish(run="toy-x", process={"kfp": "1"})
    decision = judged(source=Source.SCHEDULE, wish=adopted, matured_rows=0)
    assert (decision.answer, decision.rule) == (Answer.SUPPRESS, "enough_labels")
    assert decision.reason.endswith("; a run that goes on can not wait")
    assert judged(source=Source.SCHEDULE, wish=adopted).answer is Answer.ACCEPT


def test_a_decision_holds_what_it_was_taken_by(judged: Judged) -> None:
    decision = judged(matured_rows=0)
    assert decision.policy == POLICY_VERSION
    assert decision.passed == ["resolved", "paused", *NAMES[2 : NAMES.index("enough_labels")]]
    assert decision.evidence["matured_rows"] == 0
    thresholds = decision.evidence["thresholds"]
    assert (thresholds["min_new_labels"], thresholds["cooldown"]) == (1000, "2h")
    assert thresholds["alert"]["threshold"] == 0.02


NAMES = [rule.__name__ for rule in RULES]


def test_the_rules_are_asked_in_the_order_that_the_documentation_tells() -> None:
    table = (Path(__file__).parents[3] / "docs" / "trigger.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE) == NAMES


SAYS_NO: dict[str, dict[str, Any]] = {
    "resolved": {"resolved_at": NOW},
    "paused": {"paused": PAUSE},
    "metrics_available": {"unavailable": "down"},
    "still_true": {"value": None},
    "model_hurt": {"quality_decay": 0.0},
    "enough_labels": {"matured_rows": 0},
    "run_in_progress": {"run_in_progress": "toy-9"},
    "cooldown": {"last_run": "toy-8", "last_run_ended": NOW},
    "daily_budget": {"started": [NOW] * 3},
    "circuit": {"failures": 3, "last_failure": NOW},
}


@given(against=st.sets(st.sampled_from(sorted(SAYS_NO))))
def test_of_all_that_speaks_against_a_run_the_first_rule_is_named(
    loop: Loop, against: set[str]
) -> None:
    told = {k: v for name in against for k, v in SAYS_NO[name].items()}
    evidence = GOOD.model_copy(
        update={k: v for k, v in told.items() if k in GOOD.model_fields_set | {"unavailable"}}
    )
    state = PolicyState(**{k: v for k, v in told.items() if k in PolicyState.model_fields})
    trigger = trigger_of("feature_drift", resolved_at=told.get("resolved_at"))
    decision = Policy(loop).judge(trigger, evidence, state, NOW)
    assert decision.rule == next((n for n in NAMES if n in against), "accepted")
    assert decision.reason


@given(
    alert=st.sampled_from([*AlertKind, "other", None]),
    value=st.none() | st.floats(0, 1),
    decay=st.none() | st.floats(-1, 1),
    rows=st.none() | st.floats(0, 1e6),
    running=st.sampled_from([None, "toy-9"]),
)
def test_no_run_is_ever_accepted_beside_another_and_no_retraining_without_rows(
    loop: Loop,
    alert: str | None,
    value: float | None,
    decay: float | None,
    rows: float | None,
    running: str | None,
) -> None:
    evidence = Evidence(condition="c", value=value, quality_decay=decay, matured_rows=rows)
    state = PolicyState(run_in_progress=running)
    decision = Policy(loop).judge(trigger_of(alert), evidence, state, NOW)
    if decision.answer is Answer.ACCEPT:
        assert running is None
        assert alert == "prediction_drift" or (rows or 0) >= loop.trigger.min_new_labels
        assert alert in {
            *(None, "quality_decay", "feature_drift", "new_labels", "model_age", "prediction_drift")
        }
