"""The decision: what each gate says, and the verdict in words. No I/O, no randomness.

Where the proof lies differs, and on purpose:

- On the **new** holdout the challenger has to prove itself: the whole interval of
  the improvement must lie above `-max_regression`. It is one comparison on the
  most rows, and the one the retraining was for. Too few rows there is no proof,
  and blocks.
- On **old** spans and **slices** the regression has to be proven: a gate blocks
  when the whole interval lies below `-max_regression`. They are many and small;
  if each had to prove the challenger harmless, noise alone would turn down
  nearly every good one (20 groups at 2.5 % each). Too few rows there are
  reported and block nothing.
- `min_improvement` asks the estimate itself, everywhere.
"""

from collections.abc import Sequence

from kontinual.evaluation.records import Comparison, Finding, Verdict
from kontinual.spec import Gate

__all__ = ["judge", "judge_first", "summary"]

_NAMES = {"roc_auc": "ROC AUC", "log_loss": "log loss", "brier": "Brier score"}
_FIRST = (
    Gate(metric="roc_auc", on="new", max_regression=0.0, min_rows=2),
    Gate(metric="log_loss", on="new", min_improvement=0.0, min_rows=2),
)


def judge(gates: Sequence[Gate], comparisons: Sequence[Comparison]) -> list[Finding]:
    """What each gate says of each comparison it speaks of."""
    return [
        _judged(gate, comparison)
        for gate in gates
        for comparison in comparisons
        if (gate.metric, gate.on) == (comparison.metric, comparison.on)
    ]


def judge_first(comparisons: Sequence[Comparison]) -> list[Finding]:
    """Without a champion: ranks surely better than chance, with a log loss below the base rate's.

    The proof is asked of ROC AUC, for which the base rate has 0.5 on any rows. Its log loss is that
    of the very rows it is measured on, a few days whose base rate nobody knew before.
    """
    return judge(_FIRST, comparisons)


def summary(findings: Sequence[Finding], *, against: str) -> tuple[bool, str, list[str]]:
    """Blessed or not, the verdict in one sentence, and the reasons one by one.

    A challenger that no gate could judge is not blessed.
    """
    blocking = [f.reason for f in findings if f.verdict == "blocked"]
    passing = [f.reason for f in findings if f.verdict == "passed"]
    if blocking:
        more = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
        return False, f"Not blessed: {blocking[0]}{more}.", blocking
    if not passing:
        reason = "no gate had enough rows to judge by"
        return False, f"Not blessed: {reason}.", [reason]
    new = [f.reason for f in findings if f.verdict == "passed" and f.gate.on == "new"]
    rest = len(findings) - 1
    skipped = sum(f.verdict == "not judged" for f in findings)
    checks = "check" if rest == 1 else "checks"
    others = f"; no objection from {rest} further {checks} against the {against}" if rest else ""
    unjudged = f", of which {skipped} could not be judged" if skipped else ""
    return True, f"Blessed: {(new or passing)[0]}{others}{unjudged}.", passing


def _judged(gate: Gate, seen: Comparison) -> Finding:
    verdict, reason = _verdict(gate, seen)
    return Finding(gate=gate, comparison=seen, verdict=verdict, reason=reason)


def _verdict(gate: Gate, seen: Comparison) -> tuple[Verdict, str]:
    unjudged: Verdict = "blocked" if gate.on == "new" else "not judged"
    where = f"{_NAMES[gate.metric]} on {seen.group}"
    if seen.rows < gate.min_rows:
        return unjudged, f"{where} has {seen.rows} rows, and {gate.min_rows} are needed to judge"
    if seen.improvement is None or seen.low is None or seen.high is None:
        return unjudged, f"{where} can not be judged: {seen.note}"
    told = f"{where} {_change(seen)}"
    if gate.min_improvement is not None and seen.improvement < gate.min_improvement:
        return "blocked", f"{told}, and an improvement of {gate.min_improvement:g} is asked for"
    if gate.max_regression is not None and _regressed(gate, seen.low, seen.high):
        return "blocked", f"{told}, {_objection(gate)}"
    return "passed", told


def _regressed(gate: Gate, low: float, high: float) -> bool:
    limit = -(gate.max_regression or 0.0)
    return not low > limit if gate.on == "new" else high < limit


def _objection(gate: Gate) -> str:
    if gate.on != "new":
        return f"so it is surely worse by more than the {gate.max_regression:g} allowed"
    if not gate.max_regression:
        return "so it is not surely better"
    return f"so it may be worse by more than the {gate.max_regression:g} allowed"


def _change(seen: Comparison) -> str:
    """How the metric moved, such as `fell from 0.5031 to 0.4812 (better by 0.0219, …)`."""
    assert seen.champion is not None  # noqa: S101  all figures of a judged comparison are there
    assert seen.challenger is not None  # noqa: S101
    assert seen.improvement is not None  # noqa: S101
    word = "rises" if seen.challenger > seen.champion else "falls"
    word = "stays" if seen.challenger == seen.champion else word
    side = "better" if seen.improvement >= 0 else "worse"
    return (
        f"{word} from {seen.champion:.4f} to {seen.challenger:.4f} "
        f"({side} by {abs(seen.improvement):.4f}, 95 % interval of the improvement "
        f"{seen.low:+.4f} to {seen.high:+.4f}, {seen.rows:,} rows in {seen.blocks:,} blocks"
        f"{seen.fewer_blocks})"
    )
