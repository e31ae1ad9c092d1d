"""A decision taken apart: what each rule said, and what Prometheus was asked for it."""

import inspect
from dataclasses import dataclass
from typing import Any

from kontinual.trigger.contracts import Trigger
from kontinual.trigger.rules import RULES

__all__ = ["Asked", "Judged", "Verdict", "judged"]

_LIMITS = {
    "quality_decay": "quality_decay",
    "expected_log_loss_rise": "max_expected_loss_rise",
    "matured_rows": "min_new_labels",
}
_NAMES = {
    "value": "the alert's condition",
    "quality_decay": "fall of ROC AUC",
    "expected_log_loss_rise": "rise of the expected log loss",
    "matured_rows": "new labelled rows",
}


@dataclass(frozen=True)
class Verdict:
    """What one rule said: `outcome` is passed, spoke, or not asked."""

    rule: str
    asks: str
    outcome: str


@dataclass(frozen=True)
class Asked:
    """One question to Prometheus."""

    name: str
    promql: str
    at: str
    value: float | None
    threshold: float | None


@dataclass(frozen=True)
class Judged:
    """All that a decision was taken by; empty where a person took it."""

    verdicts: list[Verdict]
    asked: list[Asked]
    unavailable: str | None


def judged(trigger: Trigger) -> Judged:
    """The latest decision on a trigger, rule by rule."""
    decision = trigger.decision
    if decision is None or decision.policy is None:
        return Judged([], [], None)
    passed, names = set(decision.passed), {rule.__name__ for rule in RULES}
    verdicts = [
        Verdict(rule.__name__, _asks(rule), _outcome(rule.__name__, passed, decision.rule))
        for rule in RULES
    ]
    if decision.rule not in names and decision.rule != "accepted":
        verdicts.append(Verdict(decision.rule, "", "spoke"))
    evidence = decision.evidence
    asked = [_asked(query, evidence.get("thresholds", {})) for query in evidence.get("queries", [])]
    return Judged(verdicts, asked, evidence.get("unavailable"))


def _outcome(rule: str, passed: set[str], spoke: str) -> str:
    if rule == spoke:
        return "spoke"
    return "passed" if rule in passed else "not asked"


def _asks(rule: object) -> str:
    """The rule in one sentence, as its author wrote it."""
    return (inspect.getdoc(rule) or "").partition("\n")[0]


def _asked(query: dict[str, Any], thresholds: dict[str, Any]) -> Asked:
    name = query["name"]
    limit = thresholds.get(_LIMITS.get(name, ""))
    if name == "value":
        limit = thresholds.get("alert", {}).get("threshold")
    return Asked(_NAMES.get(name, name), query["promql"], query["at"], query.get("value"), limit)
