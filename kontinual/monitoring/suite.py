"""A suite for `promtool test rules`, made for a loop from its own thresholds.

Each alert is put into small worlds of counters that grow evenly: one in which it has to
fire, and others in which it must not, because nothing is wrong, the rows are too
few, or the version in question is not the champion. A threshold that
nothing could ever reach shows as a world that does not fire.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kontinual.monitoring.document import document
from kontinual.monitoring.rules import SERVICES
from kontinual.monitoring.timing import Timing
from kontinual.spec import SCORE_BINS, Alert, AlertKind, Loop

__all__ = ["render_rules_test"]

_OF_SERVICES = {kind for kind in AlertKind if kind.of_services}
_WITHOUT_ROWS = {AlertKind.MODEL_AGE, AlertKind.NEW_LABELS, *_OF_SERVICES}
_WITHOUT_CHAMPION = {AlertKind.NEW_LABELS, *_OF_SERVICES}
_DAY = 86400


@dataclass(frozen=True)
class _World:
    """What is true in a test: rows per step, and whether it is a bad world."""

    loop: Loop
    alert: Alert
    speedup: float
    rows: float
    bad: bool

    def gauge(self, name: str, value: float, **labels: str) -> dict[str, str]:
        """A series of version 1 that stays as it is."""
        return _series(name, f"{value!r}+0", {"model": self.loop.name, "version": "1", **labels})

    def counter(self, name: str, growth: float, **labels: str) -> dict[str, str]:
        """A series of version 1 that grows from 0 by so much at every step."""
        return _series(name, f"0+{growth!r}", {"model": self.loop.name, "version": "1", **labels})


def _series(name: str, values: str, labels: dict[str, str]) -> dict[str, str]:
    text = ", ".join(f'{k}="{v}"' for k, v in labels.items() if v)
    return {"series": f"{name}{{{text}}}", "values": values}


def render_rules_test(loop: Loop, *, speedup: float = 1.0, rules_file: str = "rules.yml") -> str:
    """`rules_test.yml` of a loop, for the rules rendered at the same speed.

    Args:
        loop: the declaration.
        speedup: how many times faster than the wall clock the loop's windows pass.
        rules_file: path of the rules, from the suite's folder.
    """
    timing = Timing(loop, speedup)
    step = _step(timing)
    tests = [test for alert in loop.monitoring.alerts for test in _tests(timing, alert, step)]
    tree = {
        "rule_files": [rules_file],
        "evaluation_interval": timing.text(step),
        "tests": tests,
    }
    return document(tree, loop=loop.name)


def _step(timing: Timing) -> int:
    """Seconds between evaluations: some in the longest `for`, but not thousands."""
    return max(1, max(timing.hold(kind) for kind in AlertKind) // 8)


def _sample(step: int, window: int) -> int:
    """Seconds between samples: a few in the window, and one at every evaluation."""
    return next(s for s in range(min(step, window // 4), 0, -1) if step % s == 0)


def _tests(timing: Timing, alert: Alert, step: int) -> list[dict[str, Any]]:
    kind, least = alert.kind, timing.loop.monitoring.min_rows_of(alert)
    hold, sample = timing.hold(kind), _sample(step, timing.window(kind))
    end = (hold // step + 4) * step

    def world(rows: float, *, bad: bool) -> list[dict[str, str]]:
        return _EVIDENCE[kind](_World(timing.loop, alert, timing.speedup, rows, bad))

    def test(name: str, inputs: list[dict[str, str]], *, fires: bool) -> dict[str, Any]:
        checks = [_check(timing.loop, alert, end, fires=fires)]
        if fires and hold > 2 * step:
            checks.insert(0, _check(timing.loop, alert, hold - step, fires=False))
        return {
            "name": f"{kind.alertname}: {name}",
            "interval": timing.text(sample),
            "input_series": _cut(inputs, end // sample),
            "promql_expr_test": checks,
        }

    first, second = _champion(timing.loop, "1"), _champion(timing.loop, "2")
    found = [
        test("fires", [*world(least, bad=True), first], fires=True),
        test("silent when nothing is wrong", [*world(least, bad=False), first], fires=False),
    ]
    if kind not in _WITHOUT_ROWS:
        few = world(least * sample / (4 * end), bad=True)
        found.append(test("silent with too few rows", [*few, first], fires=False))
    if kind is AlertKind.SERVICE_DOWN and alert.threshold < 1:
        unserved = [
            w for w in world(least, bad=False) if f'loop="{timing.loop.name}"' not in w["series"]
        ]
        found.append(test("silent before the first champion", unserved, fires=False))
        found.append(test("fires when the champion is not served", [*unserved, first], fires=True))
    if kind not in _WITHOUT_CHAMPION:
        other = world(least, bad=True)
        found.append(test("silent when not the champion", [*other, second], fires=False))
    return found


def _check(loop: Loop, alert: Alert, at: int, *, fires: bool) -> dict[str, Any]:
    labels = {
        "model": loop.name,
        "kind": alert.kind.value,
        "action": alert.action.value,
        "severity": alert.severity,
    }
    text = ", ".join(f'{k}="{v}"' for k, v in labels.items())
    firing = f'ALERTS{{alertname="{alert.kind.alertname}", alertstate="firing"}}'
    return {
        "expr": f"count by ({', '.join(labels)}) ({firing}) > bool 0",
        "eval_time": Timing.text(at),
        "exp_samples": [{"labels": f"{{{text}}}", "value": 1}] if fires else [],
    }


def _cut(inputs: list[dict[str, str]], steps: int) -> list[dict[str, str]]:
    """The series from the start to the end of a test."""
    return [{**i, "values": f"{i['values']}x{steps}"} for i in inputs]


def _champion(loop: Loop, version: str) -> dict[str, str]:
    return _series("kontinual_champion_info", "1+0", {"model": loop.name, "version": version})


def _feature_drift(w: _World) -> list[dict[str, str]]:
    name = w.loop.data.steady_names[0]
    return _moved(w, "feature_total", "reference_feature_share", feature=name)


def _prediction_drift(w: _World) -> list[dict[str, str]]:
    return _moved(w, "score_total", "reference_score_share")


def _moved(w: _World, counter: str, gauge: str, **labels: str) -> list[dict[str, str]]:
    """Two bins; in a bad world the rows fall where the reference has next to none."""
    rare, crowded = 1e-9, 1 - 1e-9
    here, there = (0.0, w.rows) if w.bad else (w.rows, 0.0)
    return [
        w.counter(f"kontinual_{counter}", here, bin="0", **labels),
        w.counter(f"kontinual_{counter}", there, bin="1", **labels),
        w.gauge(f"kontinual_{gauge}", crowded, bin="0", **labels),
        w.gauge(f"kontinual_{gauge}", rare if w.bad else 1e-3, bin="1", **labels),
    ]


def _low_confidence(w: _World) -> list[dict[str, str]]:
    return [
        w.counter("kontinual_predictions_total", w.rows),
        w.counter("kontinual_low_confidence_total", w.rows if w.bad else 0),
        w.gauge("kontinual_reference_low_confidence_share", 0),
    ]


def _input_anomalies(w: _World) -> list[dict[str, str]]:
    """In a bad world every request is refused, so no row is answered at all."""
    return [
        w.counter("kontinual_predictions_total", 0 if w.bad else w.rows),
        w.counter("kontinual_requests_total", w.rows, code="4xx" if w.bad else "200"),
        w.counter("kontinual_anomalous_requests_total", w.rows if w.bad else 0),
    ]


def _quality_decay(w: _World) -> list[dict[str, str]]:
    """In a bad world every positive scores lowest and every negative highest."""
    top = SCORE_BINS - 1
    low, high = ("1", "0") if w.bad else ("0", "1")
    below = 0 if w.bad else w.rows / 2
    found = [
        w.counter("kontinual_outcomes_total", w.rows, slice="all", group="all"),
        w.gauge("kontinual_reference_quality", 1, metric="binned_roc_auc"),
    ]
    for b in range(SCORE_BINS):
        for label, full in ((low, 0), (high, top)):
            growth = w.rows / 2 if b == full else 0
            found.append(w.counter("kontinual_outcome_bin_total", growth, label=label, bin=str(b)))
        found.append(
            w.counter("kontinual_outcome_negatives_below_total", below if b else 0, bin=str(b))
        )
    return found


def _group_bias(w: _World) -> list[dict[str, str]]:
    """In a bad world one group is all positive and scores 0, the other the reverse."""
    found = []
    for group, positive in (("a", True), ("b", False)):
        labels = {"slice": "any", "group": group}
        scored = positive is not w.bad
        found += [
            w.counter("kontinual_outcomes_total", w.rows, **labels),
            w.counter("kontinual_outcome_positives_total", w.rows if positive else 0, **labels),
            w.counter("kontinual_outcome_score_sum_total", w.rows if scored else 0, **labels),
        ]
    return found


def _model_age(w: _World) -> list[dict[str, str]]:
    """The tests' clock starts at 0, so an old model was made before that."""
    age = (2 * w.alert.threshold + 1) * _DAY / w.speedup
    return [w.gauge("kontinual_model_created_seconds", -age if w.bad else 1e9)]


def _new_labels(w: _World) -> list[dict[str, str]]:
    rows = 2 * w.alert.threshold + 1 if w.bad else 0
    return [w.gauge("kontinual_matured_rows", rows, version="")]


def _service_down(w: _World) -> list[dict[str, str]]:
    """The predictors of another loop are down in every world."""
    down = {SERVICES[-1]} if w.bad else set()
    other = _series("up", "0+0", {"job": "predictor", "loop": f"not-{w.loop.name}"})
    own = {"predictor": w.loop.name}
    return [other] + [
        _series("up", f"{int(job not in down)}+0", {"job": job, "loop": own.get(job, "")})
        for job in SERVICES
    ]


def _trigger_waiting(w: _World) -> list[dict[str, str]]:
    age = 2 * w.alert.threshold + 1 if w.bad else 0
    return [w.gauge("kontinual_trigger_undecided_seconds", age, version="")]


def _trigger_errors(kind: str) -> Callable[[_World], list[dict[str, str]]]:
    """In a bad world each sample sees more failures than the threshold allows in a window."""

    def world(w: _World) -> list[dict[str, str]]:
        growth = 2 * w.alert.threshold + 1 if w.bad else 0
        other = "ledger" if kind == "launch" else "launch"
        return [
            w.counter("kontinual_trigger_errors_total", growth, version="", kind=kind),
            w.counter("kontinual_trigger_errors_total", 9, version="", kind=other),
        ]

    return world


_EVIDENCE: dict[AlertKind, Callable[[_World], list[dict[str, str]]]] = {
    AlertKind.FEATURE_DRIFT: _feature_drift,
    AlertKind.PREDICTION_DRIFT: _prediction_drift,
    AlertKind.LOW_CONFIDENCE: _low_confidence,
    AlertKind.INPUT_ANOMALIES: _input_anomalies,
    AlertKind.QUALITY_DECAY: _quality_decay,
    AlertKind.GROUP_BIAS: _group_bias,
    AlertKind.MODEL_AGE: _model_age,
    AlertKind.NEW_LABELS: _new_labels,
    AlertKind.SERVICE_DOWN: _service_down,
    AlertKind.TRIGGER_WAITING: _trigger_waiting,
    AlertKind.LAUNCH_FAILURES: _trigger_errors("launch"),
    AlertKind.LEDGER_ERRORS: _trigger_errors("ledger"),
}
