"""What the dashboard shows, from top to bottom, and the PromQL of each panel."""

from dataclasses import dataclass
from typing import Literal

from kontinual.monitoring.timing import Timing
from kontinual.spec import AlertKind

__all__ = ["ANNOTATIONS", "Panel", "Query", "sections"]

# Marks on all panels. `window` is two evaluations, so no change falls between two of them.
ANNOTATIONS = [
    {
        "name": "Retrainings",
        "expr": 'increase(kontinual_runs_total{{model="{model}"}}[{window}]) > 0',
        "title": "Run ended: {{outcome}}",
        "colour": "blue",
    },
    {
        "name": "New champions",
        "expr": 'changes(kontinual_champion_since_seconds{{model="{model}"}}[{window}]) > 0',
        "title": "A new champion",
        "colour": "purple",
    },
    {
        "name": "Alerts",
        "expr": 'ALERTS{{model="{model}", alertstate="firing"}}',
        "title": "{{alertname}}",
        "colour": "red",
    },
]


@dataclass(frozen=True)
class Query:
    """One query, with how its series are called in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        title: for a person.
        queries: what is drawn.
        description: how to read it.
        unit: Grafana's name of it.
        kind: of panel.
        threshold: the declared one, drawn as a line.
        width: of 24 columns.
    """

    title: str
    queries: list[Query]
    description: str = ""
    unit: str = "short"
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    threshold: float | None = None
    width: int = 12


def sections(timing: Timing) -> list[tuple[str, list[Panel]]]:
    """The rows of the dashboard: title and panels."""
    t = _Terms(timing)
    return [
        ("Now", _now(t)),
        ("Quality, by the labels that came in", _quality(t)),
        ("Drift", _drift(t)),
        ("Traffic by version", _traffic(t)),
        ("Scores", _scores(t)),
        ("Anomalies", _anomalies(t)),
        ("Triggers and runs", _triggers(t)),
        ("Data", _data(t)),
    ]


class _Terms:
    """PromQL of one loop."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.model = f'model="{timing.loop.name}"'
        # Ten scrapes: a rate that is steady and still quick.
        self.short = timing.text(max(10 * timing.scrape, 10))
        self.window = timing.text(timing.scaled(timing.loop.monitoring.window, least=10))

    def own(self, series: str, *matchers: str) -> str:
        return f"{series}{{{', '.join((self.model, *matchers))}}}"

    def rate(self, counter: str, *matchers: str, by: str) -> str:
        return f"sum by ({by}) (rate({self.own(counter, *matchers)}[{self.short}]))"

    def rise(self, counter: str, *matchers: str, by: str) -> str:
        return f"sum by ({by}) (increase({self.own(counter, *matchers)}[{self.window}]))"

    def threshold(self, kind: AlertKind) -> float | None:
        alert = self._timing.loop.monitoring.alert(kind)
        return alert.threshold if alert else None

    def judged(self, kind: AlertKind, title: str, legend: str, description: str) -> Panel:
        """The very series that an alert compares with its threshold."""
        return Panel(
            title,
            [Query(self.own(kind.series), legend)],
            description,
            threshold=self.threshold(kind),
        )


def _now(t: _Terms) -> list[Panel]:
    firing = f'count by (alertname) (ALERTS{{{t.model}, alertstate="firing"}})'
    return [
        Panel(
            "Champion",
            [Query(t.own("kontinual_champion_info"), "version {{version}}")],
            "Absent: nobody says who it is, so no alert about the model fires.",
            kind="stat",
            width=6,
        ),
        Panel(
            "Age of the champion",
            [Query(t.own(AlertKind.MODEL_AGE.series), "version {{version}}")],
            unit="d",
            kind="stat",
            threshold=t.threshold(AlertKind.MODEL_AGE),
            width=6,
        ),
        Panel(
            "Run in progress, triggers held",
            [
                Query(t.own("kontinual_run_in_progress"), "run"),
                Query(t.own("kontinual_triggers_held"), "held"),
            ],
            kind="stat",
            width=6,
        ),
        Panel("Firing alerts", [Query(firing, "{{alertname}}")], kind="stat", width=6),
    ]


def _quality(t: _Terms) -> list[Panel]:
    def holdout(metric: str) -> str:
        return f"max by (version) ({t.own('kontinual_reference_quality', _metric(metric))})"

    return [
        Panel(
            "ROC AUC",
            [
                Query(t.own("kontinual:quality:roc_auc"), "version {{version}}"),
                Query(holdout("binned_roc_auc"), "holdout of {{version}}"),
            ],
            f"Over the last {t.window}, by twenty bins of the score. "
            "A blue mark is the end of a run, a purple one a champion.",
        ),
        Panel(
            "Log loss",
            [
                Query(t.own("kontinual:quality:log_loss"), "version {{version}}"),
                Query(holdout("log_loss"), "holdout of {{version}}"),
            ],
        ),
        t.judged(
            AlertKind.QUALITY_DECAY,
            "Fall of the ROC AUC below the holdout's",
            "version {{version}}",
            "Of the champion, where its window holds enough labelled rows.",
        ),
        t.judged(
            AlertKind.GROUP_BIAS,
            "Gap between groups",
            "{{slice}}",
            "Greatest less least of mean score minus share of positives, over the groups.",
        ),
    ]


def _drift(t: _Terms) -> list[Panel]:
    return [
        Panel(
            "Stability index by feature",
            [Query(f"max by (feature) ({t.own('kontinual:feature_psi')})", "{{feature}}")],
            "Seasonal features are drawn too, but alert no one.",
            threshold=t.threshold(AlertKind.FEATURE_DRIFT),
        ),
        t.judged(
            AlertKind.PREDICTION_DRIFT,
            "Stability index of the scores",
            "version {{version}}",
            "Against the scores of the champion's holdout.",
        ),
    ]


def _traffic(t: _Terms) -> list[Panel]:
    buckets = t.rate("kontinual_request_seconds_bucket", by="le, version")
    return [
        Panel(
            "Rows answered",
            [Query(t.rate("kontinual_predictions_total", by="version"), "version {{version}}")],
            "During a rollout, how traffic moves from one version to the other.",
            unit="reqps",
            width=8,
        ),
        Panel(
            "Requests that were not answered well",
            [
                Query(
                    t.rate("kontinual_requests_total", 'code!="200"', by="version, code"),
                    "{{code}}, version {{version}}",
                )
            ],
            unit="reqps",
            width=8,
        ),
        Panel(
            "Time to answer, 99th percentile",
            [Query(f"histogram_quantile(0.99, {buckets})", "version {{version}}")],
            unit="s",
            width=8,
        ),
    ]


def _scores(t: _Terms) -> list[Panel]:
    rows = t.rise("kontinual_predictions_total", by="version")
    mean = f"{t.rise('kontinual_score_sum_total', by='version')} / {rows}"
    base = f"max by (version) ({t.own('kontinual_reference_quality', _metric('base_rate'))})"
    return [
        Panel(
            "Mean score",
            [Query(mean, "version {{version}}"), Query(base, "share of positives, {{version}}")],
            unit="percentunit",
            width=8,
        ),
        Panel(
            "Share of rows by score bin",
            [Query(f"max by (bin) ({t.own('kontinual:score_share:bin')})", "{{bin}}")],
            "Twenty equal bins of the score, of the last window.",
            unit="percentunit",
            kind="bargauge",
            width=8,
        ),
        Panel(
            "Unsure rows and expected loss, over the holdout's",
            [
                Query(t.own(AlertKind.LOW_CONFIDENCE.series), "share under 0.6"),
                Query(t.own("kontinual:expected_log_loss_rise:value"), "expected log loss"),
            ],
            threshold=t.threshold(AlertKind.LOW_CONFIDENCE),
            width=8,
        ),
    ]


def _anomalies(t: _Terms) -> list[Panel]:
    by_kind = t.rise("kontinual_input_anomalies_total", by="feature, kind")
    return [
        Panel(
            "Requests with an anomaly",
            [Query(t.own(AlertKind.INPUT_ANOMALIES.series), "version {{version}}")],
            unit="percentunit",
            threshold=t.threshold(AlertKind.INPUT_ANOMALIES),
        ),
        Panel(
            "Anomalies by feature and kind",
            [Query(f"topk(10, {by_kind} > 0)", "{{feature}}: {{kind}}")],
        ),
    ]


def _triggers(t: _Terms) -> list[Panel]:
    return [
        Panel(
            "Decisions",
            [
                Query(
                    t.rise("kontinual_triggers_total", by="source, decision"),
                    "{{decision}} ({{source}})",
                )
            ],
            "What became of what was asked for. Why, the ledger says: kontinual ledger show LOOP.",
        ),
        Panel(
            "Runs by outcome", [Query(t.rise("kontinual_runs_total", by="outcome"), "{{outcome}}")]
        ),
        Panel(
            "Alerts delivered",
            [Query(t.rise("kontinual_webhook_alerts_total", by="result"), "{{result}}")],
        ),
        Panel(
            "Trouble of the trigger",
            [
                Query(t.rise("kontinual_trigger_errors_total", by="kind"), "errors: {{kind}}"),
                Query(t.own("kontinual_trigger_undecided_seconds"), "oldest undecided (s)"),
            ],
        ),
    ]


def _data(t: _Terms) -> list[Panel]:
    return [
        Panel(
            "Labelled rows in no span yet",
            [Query(t.own(AlertKind.NEW_LABELS.series), "rows")],
            threshold=t.threshold(AlertKind.NEW_LABELS),
            width=8,
        ),
        Panel(
            "Labels by what became of them",
            [Query(t.rise("kontinual_labels_total", by="result"), "{{result}}")],
            width=8,
        ),
        Panel(
            "Waiting for labels, and events given up",
            [
                Query(t.own("kontinual_unlabelled_rows"), "waiting"),
                Query(t.rise("kontinual_log_dropped_total", by="reason"), "given up: {{reason}}"),
            ],
            width=8,
        ),
    ]


def _metric(name: str) -> str:
    return f'metric="{name}"'
