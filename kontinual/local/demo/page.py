"""The demo's page: what happened, in words, tables and plots."""

from calendar import month_name
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from kontinual.local.demo.plots import draw_drift, draw_quality, draw_weights
from kontinual.local.demo.report import (
    DemoReport,
    MonthReport,
    Overall,
    RunReport,
    Score,
    Series,
    TriggerReport,
)
from kontinual.spec import Outcome

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #566072; --line: #d9dee7;
  --paper: #fff; --panel: #f5f7fa; --good: #14733b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #a9b2c2; --line: #3a4354;
  --paper: #141922; --panel: #1d2430; --good: #5fd08c; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
.lead { font-size: 1.1rem; border-left: .4rem solid var(--good); background: var(--panel);
  padding: .8rem 1rem; margin: 0 0 1rem; } .lead.worse { border-color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1rem 0; padding: 0; }
.figures div { background: var(--panel); padding: .6rem .8rem; }
.figures dt { color: var(--soft); font-size: .9rem; } .figures dd { margin: 0; font-size: 1.3rem; }
figure { margin: 1rem 0; } figure svg { display: block; width: 100%; height: auto;
  min-width: 34rem; }
figcaption { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; min-width: 50rem; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.step { white-space: nowrap; } summary { cursor: pointer; padding: .6rem 0; }
small { color: var(--soft); } code { font-size: .92em; overflow-wrap: anywhere; }
"""
_EVEN = 0.0005  # of ROC AUC: less would be shown as nothing
_OUTCOMES = {
    Outcome.PROMOTED: "promoted",
    Outcome.REJECTED_DATA: "data refused",
    Outcome.REJECTED_MODEL: "model refused",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.FAILED: "failed",
    Outcome.RESTORED: "restored",
    Outcome.STOPPED: "stopped",
}


def page(report: DemoReport, series: Series) -> str:
    """The whole page."""
    title = f"A loop that closes: {report.loop}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{_lead(report)}
{_figures(report)}
{_plots(report, series)}
<h2>Months</h2>
{_months(report)}
<h2>Triggers</h2>
{_triggers(report)}
<h2>Runs</h2>
{_runs(report)}
</body></html>
"""


def _lead(report: DemoReport) -> str:
    retrainings = report.runs[1:]  # the first run made the first model
    promoted = sum(r.outcome is Outcome.PROMOTED for r in retrainings)
    gain = _difference(report.overall)
    if gain is None:
        compared = "too few labels came back to compare it with a frozen copy of the first model"
    else:
        word = "above" if gain >= 0 else "below"
        compared = (
            f"over all replayed rows its ROC AUC is {report.overall.champion.auc:.3f}, "
            f"{abs(gain):.3f} {word} the {report.overall.frozen.auc:.3f} of a frozen copy of the "
            "first model"
        )
        compared += _ahead(report.months)
    runs = _counted(len(retrainings), "retraining")
    kind = "lead worse" if gain is not None and gain < 0 else "lead"
    return (
        f'<p class="{kind}">The champion was replaced {_counted(promoted, "time")} in {runs}; '
        f"{compared}.</p>"
    )


def _ahead(months: Sequence[MonthReport]) -> str:
    """In how many of the months the champion ranks better."""
    both = [(m.champion.auc, m.frozen.auc) for m in months]
    gains = [champion - frozen for champion, frozen in both if champion and frozen]
    ahead = sum(gain > _EVEN for gain in gains)
    return f". Month by month it is ahead in {ahead} of {len(gains)}"


def _figures(report: DemoReport) -> str:
    accepted = sum(t.decision == "accept" for t in report.triggers)
    figures = {
        "Rows replayed": f"{sum(m.rows for m in report.months):,}",
        "Triggers": f"{len(report.triggers)}, {accepted} accepted",
        "Runs": str(len(report.runs)),
        "Time": _time(report.seconds),
        "Set-up": _time(report.setup_seconds),
        "Seed": str(report.seed),
    }
    items = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in figures.items())
    return f'<dl class="figures">{items}</dl>'


def _plots(report: DemoReport, series: Series) -> str:
    drawn = ""
    if len(series.quality) > 1:
        drawn += _figure(
            "Quality over time",
            draw_quality(series.quality),
            "Both models on the same rows, by the time of the events. A dotted line is a new "
            "champion taking over.",
        )
    moments = [_moment(w.time) for w in series.weights] + [_moment(d.time) for d in series.drift]
    moments += [_moment(t.received_at) for t in report.triggers]
    if not moments:
        return drawn
    start, end = min(moments), max(moments)
    if series.weights:
        drawn += _figure(
            "Traffic of the challengers",
            draw_weights(series.weights, report.runs, start=start, end=end),
            "A challenger takes over in steps, or goes back to nothing; the champion has the rest.",
        )
    if series.drift:
        drawn += _figure(
            "Drift by feature, and alerts",
            draw_drift(series.drift, report.triggers, start=start, end=end),
            "Divergence (PSI, corrected for few rows) of what the champion was asked from what it "
            "learned from; a new champion learned from newer rows. Below, when each alert reached "
            "the trigger: a full mark was accepted, an empty one was not.",
        )
    return drawn


def _figure(title: str, svg: str, caption: str) -> str:
    return (
        f'<h2>{escape(title)}</h2><figure><div class="wide" tabindex="0">{svg}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _months(report: DemoReport) -> str:
    rows = [
        [
            escape(month_name[m.month]),
            f"{m.rows:,}",
            escape(m.champion.version),
            _number(m.champion.auc),
            _number(m.frozen.auc),
            _gain(m.champion, m.frozen),
            _number(m.champion.log_loss),
            _number(m.frozen.log_loss),
        ]
        for m in report.months
    ]
    overall = report.overall
    rows.append(
        [
            "<b>All</b>",
            f"{sum(m.rows for m in report.months):,}",
            "",
            _number(overall.champion.auc),
            _number(overall.frozen.auc),
            _gain(overall.champion, overall.frozen),
            _number(overall.champion.log_loss),
            _number(overall.frozen.log_loss),
        ]
    )
    note = (
        "<p><small>“All” ranks the rows of all months together: it asks besides that a score in "
        "one month means what it means in another.</small></p>"
    )
    heads = [
        "Month", "Rows", "Version", "AUC, champion", "AUC, frozen", "Gain",
        "Log loss, champion", "Log loss, frozen",
    ]  # fmt: skip
    return _table(heads, rows, numeric=range(1, 8)) + note


def _triggers(report: DemoReport) -> str:
    """Those that started a run; the others, which may be many, are there to be opened."""
    accepted = [t for t in report.triggers if t.decision == "accept"]
    others = [t for t in report.triggers if t.decision != "accept"]
    shown = _decided(accepted) if accepted else "<p>None started a run.</p>"
    if not others:
        return shown
    told = f"{_counted(len(others), 'trigger')} that started no run, and why"
    return f"{shown}<details><summary>{told}</summary>{_decided(others)}</details>"


def _decided(triggers: Sequence[TriggerReport]) -> str:
    rows = [
        [
            escape(str(t.id)),
            f"{_moment(t.received_at):%H:%M:%S}",
            escape(t.alert or t.source),
            f'<span class="{"good" if t.decision == "accept" else "soft"}">{t.decision}</span>',
            escape(t.reason),
            f"<code>{escape(t.run)}</code>" if t.run else "",
        ]
        for t in triggers
    ]
    heads = ["Trigger", "Received", "Alert", "Decision", "Reason", "Run"]
    return _table(heads, rows)


def _runs(report: DemoReport) -> str:
    rows = [
        [
            f"<code>{escape(r.id)}</code>",
            escape(str(r.trigger)),
            f'<span class="{"good" if r.outcome is Outcome.PROMOTED else "bad"}">'
            f"{_OUTCOMES[r.outcome]}</span>",
            escape(r.version or ""),
            _time(r.seconds),
            _steps(r),
            escape(r.reason),
        ]
        for r in report.runs
    ]
    heads = ["Run", "Trigger", "Outcome", "Version", "Time", "Rollout", "Reason"]
    return _table(heads, rows, numeric=[4]) if rows else "<p>None was started.</p>"


def _steps(run: RunReport) -> str:
    return "<br>".join(
        f'<span class="step">{s.weight} % {s.verdict} '
        f"<small>({_counted(s.requests, 'request')})</small></span>"
        for s in run.steps
    )


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Iterable[int] = ()
) -> str:
    right = set(numeric)

    def kind(i: int) -> str:
        return ' class="number"' if i in right else ""

    head = "".join(f'<th scope="col"{kind(i)}>{h}</th>' for i, h in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _difference(overall: Overall) -> float | None:
    """By how much the champion's ROC AUC is above the frozen model's."""
    if overall.champion.auc is None or overall.frozen.auc is None:
        return None
    return overall.champion.auc - overall.frozen.auc


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _gain(champion: Score, frozen: Score) -> str:
    if champion.auc is None or frozen.auc is None:
        return "–"
    gain = champion.auc - frozen.auc
    kind = "good" if gain > _EVEN else "bad" if gain < -_EVEN else "even"
    return f'<span class="{kind}">{gain:+.3f}</span>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
