"""The text of a drafted declaration: YAML as a person would write it, with the reasons."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from kontinual.lake.draft.columns import Feature
from kontinual.lake.draft.pace import Pace
from kontinual.spec import API_VERSION, Validation, format_duration

__all__ = ["Head", "declaration"]

WIDTH = 100
DRIFT = 0.25
"""A stability index over this is much: drift that alerts, or that is a feature's nature."""
_NEARLY = 0.8
"""A limit that the history comes so near to would refuse the next span by chance."""
_SLICES, _GROUPS, _GROUP_ROWS = 2, 12, 50
_NULLABLE = (
    "  # nullable: in CSV, words such as NA and None are null where no vocabulary declares them."
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_WORDS = {
    "y",
    "n",
    "yes",
    "no",
    "on",
    "off",
    "true",
    "false",
    "null",
}  # YAML 1.1 reads more in them


@dataclass(frozen=True)
class Head:
    """What the table alone does not say."""

    name: str
    id: str
    time: str
    label: str
    delay: timedelta
    history: str
    units: Mapping[str, str]


def declaration(
    head: Head,
    features: Sequence[Feature],
    left_out: Mapping[str, str],
    pace: Pace,
    *,
    positives: float,
) -> str:
    """The text of loop.yaml.

    Args:
        head: names, and what the rows do not say.
        features: at least one.
        left_out: column → why it is no feature.
        pace: how fast rows come.
        positives: share of rows with label 1, in (0, 1).
    """
    slices = _slices(features, pace)
    steady = any(f.movement <= DRIFT for f in features)
    return "\n".join(
        [
            *_data(head, features, left_out, pace, slices, positives),
            *_validation(features, pace),
            _TRAINING,
            *_gates(slices),
            *_watching(pace, slices, steady=steady),
        ]
    )


def _data(
    head: Head,
    features: Sequence[Feature],
    left_out: Mapping[str, str],
    pace: Pace,
    slices: Sequence[str],
    positives: float,
) -> list[str]:
    days = pace.length / timedelta(days=1)
    lines = [
        f"# Drafted from {pace.rows:,} rows of {days:.3g} days; {positives:.1%} have the label 1.",
        "# Every number is a proposal: read them once as the person who answers for this model.",
        f"apiVersion: {API_VERSION}",
        "kind: Loop",
        f"name: {_scalar(head.name)}",
        'description: ""  # what is predicted, and for whom',
        "",
        "data:",
        f"  id: {_scalar(head.id)}  # a late label finds its prediction by it",
        f"  time: {_scalar(head.time)}",
        "  # delay: how long after a prediction its label is usually known",
        f"  label: {{name: {_scalar(head.label)}, delay: {_length(head.delay)}}}",
        f"  history: {{table: {_scalar(head.history)}}}",
        f"  span: {_length(pace.span)}  # the history is cut into parts this long",
        f"  holdout_block: {_length(pace.holdout_block)}",
        f"  slices: [{', '.join(map(_scalar, slices))}]  # groups that are watched apart",
        "  # Is each of them known when a prediction is made? One that tells the label has to go.",
        "  # seasonal: it moves by nature, so its drift alerts no one. unit: without one,",
        "  # validation may take a season for a change from any common unit to another.",
        *[_NULLABLE] * (".csv" in head.history and any(f.nullable and f.groups for f in features)),
        "  features:",
    ]
    for feature in features:
        lines += _feature(feature, head.units.get(feature.name))
    if left_out:
        lines.append("    # Left out:")
        lines += [f"    # {name}: {reason}" for name, reason in left_out.items()]
    return [*lines, ""]


def _feature(feature: Feature, unit: str | None) -> list[str]:
    more = f", unit: {_scalar(unit)}" if unit else ""
    more += ", nullable: true" if feature.nullable else ""
    seen = feature.seen
    if feature.movement > DRIFT:
        more += ", seasonal: true"
        seen += f"; moves with time (PSI {feature.movement:.2g})"
    head = f"name: {_scalar(feature.name)}, type: {feature.type}"
    items = [_scalar(value) for value in feature.values]
    if feature.type != "category":
        return [f"    - {{{head}, range: [{', '.join(items)}]{more}}}  # {seen}"]
    options = [f"      {option}" for option in more.removeprefix(", ").split(", ") if option]
    return [
        f"    - name: {_scalar(feature.name)}  # {seen}",
        "      type: category",
        *options,
        *_wrapped("      vocabulary: [", items, "]"),
    ]


def _wrapped(head: str, items: Sequence[str], tail: str) -> list[str]:
    """The items in lines of at most WIDTH, as far as they are that short."""
    lines, line = [], head
    for i, item in enumerate(items):
        piece = item + ("," if i + 1 < len(items) else tail)
        if len(line) + len(piece) > WIDTH and line.strip() and line != head:
            lines.append(line.rstrip())
            line = " " * 9
        line += piece + " "
    return [*lines, line.rstrip()]


def _validation(features: Sequence[Feature], pace: Pace) -> list[str]:
    """Limits over the usual ones where the history itself goes beyond."""
    usual = Validation()
    fewest = int(np.unique(pace.spans, return_counts=True)[1].min())
    rising = max(features, key=lambda f: f.null_rise)
    moving = [f.name for f in features if f.movement > DRIFT or f.jump > usual.max_drift * _NEARLY]
    lines = []
    if fewest < usual.min_rows:
        lines.append(f"  min_rows: {fewest}  # of the shortest span")
    if rising.null_rise > usual.max_null_rise * _NEARLY:
        limit = min(1.0, math.ceil(rising.null_rise * 15) / 10)
        by = f"by {rising.null_rise:.0%} from a span to the next"
        lines.append(
            f"  max_null_rise: {limit:g}  # nulls of {rising.name} rose {by}: is that right?"
        )
    if moving:
        lines.append("  max_drift_by_feature:  # these move by themselves; 1 is no limit")
        lines += [f"    {_scalar(name)}: 1.0" for name in moving]
    return ["validation:", *lines, ""] if lines else []


_TRAINING = """\
training:
  metric: log_loss
  trainers:
    - algorithm: hist_gradient_boosting
      search:
        learning_rate: {type: double, min: 0.03, max: 0.2, scale: log}
        max_iter: {type: int, min: 60, max: 200}
        max_leaf_nodes: {type: int, min: 6, max: 31}
    - algorithm: logistic_regression
      search:
        C: {type: double, min: 0.001, max: 10, scale: log}
  tuning: {trials: 8, parallel: 2, timeout: 30m}
"""


def _gates(slices: Sequence[str]) -> list[str]:
    lines = [
        "gates:  # a challenger is better on new rows by the estimate, and surely no disaster",
        '  - {metric: log_loss, "on": new, min_improvement: 0.0, max_regression: 0.25}',
        '  - {metric: log_loss, "on": old, max_regression: 0.03}',
    ]
    if slices:
        lines.append('  - {metric: log_loss, "on": slices, max_regression: 0.05}')
    return [*lines, ""]


def _watching(pace: Pace, slices: Sequence[str], *, steady: bool) -> list[str]:
    window, expected = pace.window, round(pace.rows_in(pace.window))
    enough = min(500, max(50, expected // 2))
    alerts = [
        *_decay(pace, enough),
        *[f"{{kind: feature_drift, threshold: {DRIFT}, action: retrain}}"] * steady,
        f"{{kind: prediction_drift, threshold: {DRIFT}, action: retrain}}",
        "{kind: input_anomalies, threshold: 0.02, action: notify, severity: critical}",
        *["{kind: group_bias, threshold: 0.25, action: notify}"] * bool(slices),
        "{kind: service_down, threshold: 0, action: notify, severity: critical}",
    ]
    return [
        "rollout:",
        "  steps: [5, 25, 50, 100]  # percent of traffic",
        f"  step_duration: {_length(window / 10)}",
        f"  step_timeout: {_length(2 * window)}",
        "",
        "monitoring:",
        f"  window: {_length(window)}  # some {expected:,} rows at the history's pace",
        f"  min_rows: {enough}  # of fewer nothing is said",
        "  alerts:",
        *(f"    - {alert}" for alert in alerts),
        "",
        "trigger:",
        f"  min_new_labels: {enough}",
        f"  cooldown: {_length(window)}",
        "",
    ]


def _decay(pace: Pace, enough: int) -> list[str]:
    """The alert for a fall of ROC AUC that is no chance: two standard errors of it.

    One is about 0.3 / sqrt(rows with the rarer label), by Hanley & McNeil 1982 for an AUC around
    0.75. So where a label is rare, more rows are asked for than of other alerts, over longer.
    """
    expected = round(pace.rows_in(pace.quality_window))
    rows = max(enough, min(math.ceil(100 / pace.rarer), expected // 2))
    threshold = min(0.4, max(0.03, math.ceil(60 / math.sqrt(rows * pace.rarer)) / 100))
    more = f", min_rows: {rows}" if rows > enough else ""
    if pace.quality_window > pace.window:
        more += f", window: {_length(pace.quality_window)}"
    about = f"kind: quality_decay, threshold: {threshold:g}, action: retrain, severity: critical"
    return [f"{{{about}{more}}}  # chance alone does half of it"]


def _length(time: timedelta) -> str:
    """In days rather than weeks."""
    days, rest = divmod(time, timedelta(days=1))
    return (f"{days}d" if days else "") + (format_duration(rest) if rest or not days else "")


def _slices(features: Sequence[Feature], pace: Pace) -> list[str]:
    """The categories of fewest groups that are large enough on the whole to be watched."""
    small = [f for f in features if 0 < f.groups <= min(_GROUPS, pace.rows / _GROUP_ROWS)]
    return [f.name for f in sorted(small, key=lambda f: f.groups)[:_SLICES]]


def _scalar(value: float | str) -> str:
    """A number or text as it stands in YAML."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        value = DoubleQuotedScalarString(value)
    elif float(value).is_integer() and abs(value) < 1e15:
        value = int(value)
    yaml, out = YAML(), io.StringIO()
    yaml.width = 2**30  # one line
    yaml.default_flow_style = True
    yaml.dump([value], out)
    return out.getvalue().strip()[1:-1]
