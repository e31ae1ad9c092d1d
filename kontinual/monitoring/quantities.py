"""The recording rules: every quantity that is watched, as PromQL over the counters.

Notation: n_b rows of the window in bin b of B, n their sum, q_b the reference share,
n * q_b the rows that bin b expects.

- Counts of a window are `increase(counter[window])`, summed over replicas. The
  series start at 0 with the process, so the first rows are not lost unless they come before
  the first scrape; `increase` extrapolates to the window's edges by at most half
  a scrape interval, which a ratio of two of them cancels. A restart is a counter
  reset and loses what came after the last scrape.
- p_b = w * n_b / n + (1 - w) * q_b with w = n / (n + a): a rows are added, spread as the reference
  is, so that no logarithm meets zero and nothing moves that is as it was. (Half a row in every
  bin would move a lot where most entries of a vocabulary never occur.) a is half a row for each
  bin that n rows of the reference reach on average.
- The population stability index sum((p_b - q_b) * ln(p_b / q_b)) of n rows from the reference
  itself is not 0 on average: what chance adds is subtracted, and less than 0 is 0. That is the
  sum over the bins of what no row and one row add, times their Poisson probabilities, and of
  w^2 / n times that of more rows. Where every bin expects many rows it is the (B-1)/n of textbooks;
  a bin that expects none adds none. In simulations of n = 500 without drift, B up to 251, a few
  to all of them in use, what is left is 0.04 at most for a reference of 20,000 rows. Its own
  chance is not subtracted: with 2,000 rows over 251 bins 0.1 is left.
- A quantity that an alert judges is named by `AlertKind.series`. It is
  the champion's alone and absent where its window holds fewer rows than the least.
  Joined with `kontinual_champion_info`, it is absent too while nobody says who the champion is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kontinual.monitoring.timing import Timing
from kontinual.spec import AlertKind

__all__ = ["RecordingRule", "recording_rules"]

_CHAMPION = "kontinual_champion_info"


@dataclass(frozen=True)
class RecordingRule:
    """One recorded series."""

    record: str
    expr: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Terms:
    """The PromQL of one kind's counts: its model, window and least number of rows."""

    timing: Timing
    kind: AlertKind

    @property
    def model(self) -> str:
        return f'model="{self.timing.loop.name}"'

    @property
    def least(self) -> int:
        monitoring = self.timing.loop.monitoring
        alert = monitoring.alert(self.kind)
        return monitoring.min_rows_of(alert) if alert else monitoring.min_rows

    def count(self, counter: str, *, by: str = "", where: str = "") -> str:
        """The increase of a counter over the window, summed over replicas."""
        labels = ", ".join(part for part in ("model, version", by) if part)
        matchers = ", ".join(part for part in (self.model, where) if part)
        window = self.timing.text(self.timing.window(self.kind))
        return f"sum by ({labels}) (increase({counter}{{{matchers}}}[{window}]))"

    def own(self, series: str, *, where: str = "") -> str:
        """A recorded series of this loop; one Prometheus may watch several loops."""
        matchers = ", ".join(part for part in (self.model, where) if part)
        return f"{series}{{{matchers}}}"

    def reference(self, gauge: str, *, by: str = "", where: str = "") -> str:
        """A reference gauge, the same from every replica."""
        labels = ", ".join(part for part in ("model, version", by) if part)
        matchers = ", ".join(part for part in (self.model, where) if part)
        return f"max by ({labels}) ({gauge}{{{matchers}}})"

    def judged(self, expr: str, *, rows: str, on: str = "") -> RecordingRule:
        """The quantity of this kind: of the champion, with enough rows."""
        labels = ", ".join(part for part in ("model, version", on) if part)
        masked = f"(\n{_indented(expr)}\n)\nand on ({labels}) ({rows} >= {self.least})"
        return self.of_champion(masked)

    def of_champion(self, expr: str, *, record: str | None = None) -> RecordingRule:
        full = f"{expr}\nand on (model, version) {_CHAMPION}{{{self.model}}}"
        return RecordingRule(record or self.kind.series, full)


def recording_rules(
    timing: Timing, *, services: Iterable[str], namespace: str | None = None
) -> list[RecordingRule]:
    """Every recording rule, in the order in which they build on each other.

    Args:
        timing: the loop and its speed.
        services: Prometheus jobs that have to answer.
        namespace: where they run, where others may run elsewhere.
    """
    kinds: dict[AlertKind, Callable[[_Terms], list[RecordingRule]]] = {
        AlertKind.FEATURE_DRIFT: _feature_drift,
        AlertKind.PREDICTION_DRIFT: _prediction_drift,
        AlertKind.LOW_CONFIDENCE: _low_confidence,
        AlertKind.INPUT_ANOMALIES: _input_anomalies,
        AlertKind.QUALITY_DECAY: _quality_decay,
        AlertKind.GROUP_BIAS: _group_bias,
        AlertKind.MODEL_AGE: _model_age,
        AlertKind.NEW_LABELS: _new_labels,
        AlertKind.SERVICE_DOWN: lambda terms: _service_down(terms, services, namespace),
        AlertKind.TRIGGER_WAITING: _trigger_waiting,
        AlertKind.LAUNCH_FAILURES: lambda terms: _trigger_errors(terms, "launch"),
        AlertKind.LEDGER_ERRORS: lambda terms: _trigger_errors(terms, "ledger"),
    }
    return [rule for kind, build in kinds.items() for rule in build(_Terms(timing, kind))]


def _feature_drift(t: _Terms) -> list[RecordingRule]:
    counts = t.count("kontinual_feature_total", by="feature, bin")
    reference = t.reference("kontinual_reference_feature_share", by="feature, bin")
    rows = t.own("kontinual:feature_rows:window")
    data = t.timing.loop.data
    seasonal = "|".join(f.name for f in data.features if f.seasonal)
    steady = f'feature!~"{seasonal}"' if seasonal else ""
    return [
        *_Binned(t, "kontinual:feature", counts, reference, "model, version, feature").rules(),
        t.judged(t.own("kontinual:feature_psi", where=steady), rows=rows, on="feature"),
    ]


def _prediction_drift(t: _Terms) -> list[RecordingRule]:
    counts = t.count("kontinual_score_total", by="bin")
    reference = t.reference("kontinual_reference_score_share", by="bin")
    rows = t.own("kontinual:score_rows:window")
    return [
        *_Binned(t, "kontinual:score", counts, reference, "model, version").rules(),
        t.judged(t.own("kontinual:score_psi"), rows=rows),
    ]


@dataclass(frozen=True)
class _Binned:
    """A distribution over bins beside its reference, and how far it has moved.

    Attributes:
        prefix: of the recorded names.
        counts: rows by bin.
        reference: share by bin, above 0.
        over: labels of one distribution.
    """

    terms: _Terms
    prefix: str
    counts: str
    reference: str
    over: str

    def rules(self) -> list[RecordingRule]:
        exprs = {
            "rows:bin": self.counts,
            "rows:window": self._sum(self._own("rows:bin")),
            "expected:bin": f"{self.reference}\n* {self._every} ({self._own('rows:window')} > 0)",
            "weight:window": self._weight(),
            "share:bin": self._share(),
            "psi:chance": self._chance(),
            "psi": self._psi(),
        }
        return [RecordingRule(f"{self.prefix}_{part}", expr) for part, expr in exprs.items()]

    def _weight(self) -> str:
        """Of the counted rows among those that were counted or added."""
        rows, expected = self._own("rows:window"), self._own("expected:bin")
        return f"{rows}\n/ ({rows} + {self._sum(f'1 - exp(-{expected})')} / 2)"

    def _share(self) -> str:
        bins, rows, weight = map(self._own, ("rows:bin", "rows:window", "weight:window"))
        return (
            f"{bins} * {self._every} ({weight} / {rows})\n"
            f"+ {self._each}\n"
            f"{self.reference} * {self._every} (1 - {weight})"
        )

    def _psi(self) -> str:
        share, reference = self._own("share:bin"), f"{self._each} {self.reference}"
        index = self._sum(f"({share} - {reference})\n* {self._each}\nln({share} / {reference})")
        return f"clamp_min(\n{_indented(index)}\n  - {self._own('psi:chance')},\n  0\n)"

    def _chance(self) -> str:
        """The index that rows of the reference itself have on average.

        With w the weight and e a bin's expected rows, p / q is 1 - w for no row and 1 - w + w / e
        for one, and p - q is -w e / n and w (1 - e) / n; exp(-e) and e exp(-e) are their chances.
        """
        rows, e, weight = map(self._own, ("rows:window", "expected:bin", "weight:window"))
        one = f"{e} * exp(-{e})"
        ratio = f"1 / {e} * {self._every} {weight} + {self._every} (1 - {weight})"
        return (
            f"{weight} / {rows} * (\n"
            f"  -{self._sum(one)} * ln(1 - {weight})\n"
            f"  + {self._sum(f'{one} * (1 - {e}) * ln({ratio})')}\n"
            f"  + {self._sum(f'1 - exp(-{e}) - {one}')} * {weight}\n"
            f")"
        )

    @property
    def _each(self) -> str:
        return f"on ({self.over}, bin)"

    @property
    def _every(self) -> str:
        return f"on ({self.over}) group_left ()"

    def _own(self, part: str) -> str:
        return self.terms.own(f"{self.prefix}_{part}")

    def _sum(self, expr: str) -> str:
        body = f"(\n{_indented(expr)}\n)" if "\n" in expr else f"({expr})"
        return f"sum by ({self.over}) {body}"


def _low_confidence(t: _Terms) -> list[RecordingRule]:
    rows = t.count("kontinual_predictions_total")
    share = f"{t.count('kontinual_low_confidence_total')} / {rows}"
    rise = f"{share}\n- {t.reference('kontinual_reference_low_confidence_share')}"
    return [t.judged(rise, rows=rows), _expected_loss(t)]


def _expected_loss(t: _Terms) -> RecordingRule:
    """What the scores themselves say of the loss to expect; there before any label is."""
    rows = t.count("kontinual_predictions_total")
    where = 'metric="expected_log_loss"'
    rise = (
        f"{t.count('kontinual_expected_log_loss_total')} / ({rows} >= {t.least})\n"
        f"- {t.reference('kontinual_reference_quality', where=where)}"
    )
    return t.of_champion(
        f"(\n{_indented(rise)}\n)", record="kontinual:expected_log_loss_rise:value"
    )


def _input_anomalies(t: _Terms) -> list[RecordingRule]:
    """Refused requests answer no row, so each anomalous request stands for one row at least."""
    anomalous = t.count("kontinual_anomalous_requests_total")
    rows = f"({t.count('kontinual_predictions_total')} + {anomalous})"
    return [t.judged(f"{anomalous}\n/ {t.count('kontinual_requests_total')}", rows=rows)]


def _quality_decay(t: _Terms) -> list[RecordingRule]:
    counted = t.count("kontinual_outcomes_total", where='slice="all"')
    loss = t.count("kontinual_outcome_log_loss_sum_total", where='slice="all"')
    brier = t.count("kontinual_outcome_brier_sum_total", where='slice="all"')
    rows = t.own("kontinual:quality:rows")
    reference = t.reference("kontinual_reference_quality", where='metric="binned_roc_auc"')
    fall = f"{reference}\n- {t.own('kontinual:quality:roc_auc')}"
    return [
        RecordingRule("kontinual:quality:rows", counted),
        RecordingRule("kontinual:quality:log_loss", f"{loss}\n/ ({rows} > 0)"),
        RecordingRule("kontinual:quality:brier", f"{brier}\n/ ({rows} > 0)"),
        RecordingRule("kontinual:quality:roc_auc", _roc_auc(t)),
        t.judged(fall, rows=rows),
    ]


def _roc_auc(t: _Terms) -> str:
    """The share of pairs of a positive and a negative in the right order; ties count half.

    Rows of one score bin tie, as they do in the holdout's `binned_roc_auc`.
    """
    positives = t.count("kontinual_outcome_bin_total", by="bin", where='label="1"')
    negatives = t.count("kontinual_outcome_bin_total", by="bin", where='label="0"')
    below = t.count("kontinual_outcome_negatives_below_total", by="bin")
    return (
        f"sum by (model, version) (\n"
        f"  {positives}\n"
        f"  * on (model, version, bin)\n"
        f"  ({below} + {negatives} / 2)\n"
        f")\n"
        f"/ (\n"
        f"  sum by (model, version) ({positives})\n"
        f"  * sum by (model, version) ({negatives})\n"
        f"  > 0\n"
        f")"
    )


def _group_bias(t: _Terms) -> list[RecordingRule]:
    by, where = "slice, group", 'slice!="all"'
    rows = t.count("kontinual_outcomes_total", by=by, where=where)
    score = t.count("kontinual_outcome_score_sum_total", by=by, where=where)
    positives = t.count("kontinual_outcome_positives_total", by=by, where=where)
    gap = t.own("kontinual:group_gap")
    spread = f"max by (model, version, slice) ({gap})\n- min by (model, version, slice) ({gap})"
    return [
        RecordingRule("kontinual:group_gap", f"({score}\n- {positives})\n/ ({rows} >= {t.least})"),
        t.of_champion(f"(\n{_indented(spread)}\n)"),
    ]


def _model_age(t: _Terms) -> list[RecordingRule]:
    """In days of the loop; an unused model grows old too, so no rows are asked for."""
    created = t.reference("kontinual_model_created_seconds")
    return [t.of_champion(f"(time() - {created}) / 86400 * {float(t.timing.speedup)!r}")]


def _new_labels(t: _Terms) -> list[RecordingRule]:
    """Labelled rows in no span yet: no training has seen them."""
    return [RecordingRule(t.kind.series, f"max by (model) (kontinual_matured_rows{{{t.model}}})")]


def _service_down(t: _Terms, services: Iterable[str], namespace: str | None) -> list[RecordingRule]:
    """How many processes of a service do not answer; 1 when Prometheus knows none.

    Predictors are labelled with their loop when they are scraped: those of another are its own.
    Before the first champion none is expected.
    """
    place = f', namespace="{namespace}"' if namespace else ""

    def answers(job: str) -> str:
        loop = f', loop="{t.timing.loop.name}"' if job == "predictor" else ""
        return f'up{{job="{job}"{place}{loop}}}'

    def unknown(job: str) -> str:
        absent = f"sum(absent({answers(job)}))"
        return f"{absent} and on () {_CHAMPION}{{{t.model}}}" if job == "predictor" else absent

    return [
        RecordingRule(
            t.kind.series,
            f"sum(1 - {answers(job)}) or {unknown(job)}",
            {"model": t.timing.loop.name, "service": job},
        )
        for job in services
    ]


def _trigger_waiting(t: _Terms) -> list[RecordingRule]:
    """A ledger that does not answer shows as NaN, which fires nothing: `ledger_errors` does."""
    age = f"max by (model) (kontinual_trigger_undecided_seconds{{{t.model}}})"
    return [RecordingRule(t.kind.series, age)]


def _trigger_errors(t: _Terms, kind: str) -> list[RecordingRule]:
    window = t.timing.text(t.timing.window(t.kind))
    counter = f'kontinual_trigger_errors_total{{{t.model}, kind="{kind}"}}'
    return [RecordingRule(t.kind.series, f"sum by (model) (increase({counter}[{window}]))")]


def _indented(expr: str) -> str:
    return "\n".join(f"  {line}" for line in expr.split("\n"))
