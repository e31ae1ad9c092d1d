"""Each gate's decision, and that it is told in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.evaluation import Comparison, judge, judge_first, summary
from kontinual.spec import Gate


def _seen(on="new", *, low, high, metric="log_loss", rows=500, group=None):
    middle = (low + high) / 2
    sign = 1 if metric == "roc_auc" else -1
    return Comparison(
        metric=metric,
        on=on,
        group=group or {"new": "span 3", "old": "span 1", "slices": "shop=small"}[on],
        rows=rows,
        blocks=6,
        blocks_of_one_size=5.9,
        champion=0.5,
        challenger=0.5 + sign * middle,
        improvement=middle,
        low=low,
        high=high,
    )


def _verdict(gate, seen):
    (finding,) = judge([Gate(**gate)], [seen])
    return finding.verdict, finding.reason


NEW = {"metric": "log_loss", "on": "new", "max_regression": 0.01}
OLD = {"metric": "log_loss", "on": "old", "max_regression": 0.01}
SLICES = {"metric": "log_loss", "on": "slices", "max_regression": 0.01}


@pytest.mark.parametrize(
    ("gate", "low", "high", "verdict"),
    [
        (NEW, 0.01, 0.02, "passed"),
        (NEW, -0.009, 0.02, "passed"),  # surely not worse by more than allowed
        (NEW, -0.01, 0.02, "blocked"),  # the proof is the challenger's to bring
        (NEW, -0.05, 0.2, "blocked"),
        (OLD, -0.05, 0.02, "passed"),  # no proof of a regression
        (OLD, -0.05, -0.01, "passed"),
        (OLD, -0.05, -0.011, "blocked"),
        (SLICES, -0.05, -0.009, "passed"),
        (SLICES, -0.05, -0.02, "blocked"),
    ],
)
def test_on_new_rows_harmlessness_is_proven_elsewhere_the_harm(gate, low, high, verdict):
    assert _verdict(gate, _seen(gate["on"], low=low, high=high))[0] == verdict


@pytest.mark.parametrize(
    ("on", "verdict"), [("new", "blocked"), ("old", "not judged"), ("slices", "not judged")]
)
def test_too_few_rows_prove_nothing(on, verdict):
    gate = {"metric": "log_loss", "on": on, "max_regression": 0.01, "min_rows": 300}
    found, reason = _verdict(gate, _seen(on, low=-0.5, high=-0.4, rows=299))

    assert found == verdict
    assert reason.endswith("has 299 rows, and 300 are needed to judge")
    assert _verdict(gate, _seen(on, low=0.01, high=0.02, rows=300))[0] == "passed"


@pytest.mark.parametrize(("on", "verdict"), [("new", "blocked"), ("old", "not judged")])
def test_a_missing_figure_proves_nothing(on, verdict):
    gate = Gate(metric="roc_auc", on=on, max_regression=0.01)
    seen = Comparison(
        metric="roc_auc", on=on, group="g", rows=500, note="all its labels are the same"
    )
    (finding,) = judge([gate], [seen])

    assert finding.verdict == verdict
    assert finding.reason == "ROC AUC on g can not be judged: all its labels are the same"


@pytest.mark.parametrize(("on", "verdict"), [("new", "blocked"), ("slices", "not judged")])
def test_rows_of_a_single_block_prove_nothing(on, verdict):
    seen = _seen(on, low=-0.5, high=-0.4).model_copy(
        update={"blocks": 1, "low": None, "high": None, "note": "one block"}
    )
    found, reason = _verdict({"metric": "log_loss", "on": on, "max_regression": 0.01}, seen)

    assert found == verdict
    assert reason.endswith("can not be judged: one block")


@pytest.mark.parametrize("on", ["new", "old", "slices"])
@pytest.mark.parametrize(("low", "verdict"), [(0.0, "passed"), (-0.02, "blocked")])
def test_a_least_improvement_asks_the_estimate(on, low, verdict):
    gate = {"metric": "roc_auc", "on": on, "min_improvement": 0.005}

    seen = _seen(on, low=low, high=0.02, metric="roc_auc")
    assert _verdict(gate, seen)[0] == verdict


def test_the_reason_tells_when_blocks_count_for_less():
    seen = _seen(low=-0.05, high=0.01).model_copy(update={"blocks_of_one_size": 2.34})

    assert "500 rows in 6 blocks, as good as 2.3 of one size)" in _verdict(NEW, seen)[1]


def test_the_reason_tells_figures_interval_and_rule():
    _, reason = _verdict(NEW, _seen(low=-0.05, high=0.01))

    assert reason == (
        "log loss on span 3 rises from 0.5000 to 0.5200 (worse by 0.0200, 95 % interval of the "
        "improvement -0.0500 to +0.0100, 500 rows in 6 blocks), so it may be worse by more "
        "than the 0.01 allowed"
    )


def test_a_gate_speaks_only_of_its_metric_and_groups():
    groups = [_seen("old", low=0, high=1, group=g) for g in ("span 1", "span 2")]
    findings = judge([Gate(**OLD)], [_seen(low=0, high=1), *groups])

    assert [f.comparison.group for f in findings] == ["span 1", "span 2"]


@pytest.mark.parametrize(
    ("auc", "log_loss", "verdicts"),
    [
        ((0.001, 0.1), (-0.1, 0.1), ["passed", "passed"]),
        ((-0.001, 0.1), (0.1, 0.2), ["blocked", "passed"]),  # it may be no better than chance
        ((0.001, 0.1), (-0.1, 0.09), ["passed", "blocked"]),  # the base rate is closer
    ],
)
def test_the_first_model_ranks_surely_better_than_chance_and_is_no_worse_than_the_base_rate(
    auc, log_loss, verdicts
):
    groups = [
        _seen(metric=metric, low=low, high=high)
        for metric, (low, high) in {"roc_auc": auc, "log_loss": log_loss}.items()
    ]

    assert [finding.verdict for finding in judge_first(groups)] == verdicts


def test_a_blessing_names_what_speaks_for_it():
    findings = judge(
        [Gate(**NEW), Gate(**OLD)],
        [_seen(low=0.01, high=0.02), _seen("old", low=-1, high=1, rows=5)],
    )
    blessed, reason, reasons = summary(findings, against="champion")

    assert blessed
    assert reason.startswith("Blessed: log loss on span 3 falls from 0.5000 to 0.4850")
    assert reason.endswith("1 further check against the champion, of which 1 could not be judged.")
    assert len(reasons) == 1


def test_a_refusal_names_every_objection():
    findings = judge(
        [Gate(**NEW), Gate(**SLICES)],
        [_seen(low=0.01, high=0.02)]
        + [_seen("slices", low=-1, high=-0.5, group=f"shop={i}") for i in range(3)],
    )
    blessed, reason, reasons = summary(findings, against="champion")

    assert not blessed
    assert reason.startswith("Not blessed: log loss on shop=0 rises")
    assert reason.endswith("(and 2 more).")
    assert len(reasons) == 3


def test_what_no_gate_could_judge_is_not_blessed():
    findings = judge([Gate(**OLD)], [_seen("old", low=0, high=1, rows=3)])

    for some in (findings, []):
        blessed, reason, _ = summary(some, against="champion")
        assert not blessed
        assert reason == "Not blessed: no gate had enough rows to judge by."


@given(
    low=st.floats(-1, 1),
    width=st.floats(0, 1),
    gain=st.floats(0, 1),
    on=st.sampled_from(["new", "old", "slices"]),
)
def test_a_better_challenger_is_never_judged_worse(low, width, gain, on):
    gate = {"metric": "brier", "on": on, "max_regression": 0.05, "min_improvement": -0.1}
    ranks = {"blocked": 0, "passed": 1}
    worse = _verdict(gate, _seen(on, low=low, high=low + width, metric="brier"))[0]
    better = _verdict(gate, _seen(on, low=low + gain, high=low + width + gain, metric="brier"))[0]

    assert ranks[worse] <= ranks[better]
