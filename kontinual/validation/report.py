"""The report of a validation: one HTML file that needs nothing beside it."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from kontinual.lake import SpanManifest, Verdict
from kontinual.spec import Loop
from kontinual.validation.charts import limit_bar, shares, sparkline
from kontinual.validation.distances import Distance
from kontinual.validation.expectation import Expectation
from kontinual.validation.findings import Check, percent
from kontinual.validation.look import Look
from kontinual.validation.schema_store import SchemaVersion
from kontinual.validation.tally import Tally

__all__ = ["ReportFacts", "report_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #566072; --line: #d9dee7; --paper: #fff;
  --panel: #f5f7fa; --good: #14733b; --bad: #b3261e; --now: #3b6fb6; --before: #b25e09; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #a9b2c2; --line: #3a4354;
  --paper: #141922; --panel: #1d2430; --good: #5fd08c; --bad: #ff8a80; --now: #7fb0f5;
  --before: #f0a454; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.verdict { border-left: .4rem solid var(--good); background: var(--panel); padding: .8rem 1rem; }
.verdict.rejected { border-color: var(--bad); } .verdict p { margin: 0; font-size: 1.1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tr.refused th { color: var(--bad); } small { color: var(--soft); white-space: nowrap; }
li { margin: .3rem 0; overflow-wrap: anywhere; } code { font-size: .92em; } svg { display: block; }
.now { fill: var(--now); } .before { fill: none; stroke: var(--before); stroke-width: 1.5; }
.track { fill: var(--line); } .under { fill: var(--good); } .over { fill: var(--bad); }
.limit { fill: var(--ink); } .key { color: var(--soft); }
.key b { color: var(--now); } .key i { color: var(--before); font-style: normal; }
"""


class ReportFacts(BaseModel):
    """What the report tells."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    loop: Loop
    manifest: SpanManifest
    schema_version: SchemaVersion
    verdict: Verdict
    previous: SpanManifest | None
    found: list[str]
    """What validation would have refused, where a person's verdict stands over it."""
    notes: list[str]
    distances: list[Distance]
    anomalies: list[tuple[str, str, str]]
    tfdv_version: str


def report_html(
    facts: ReportFacts,
    now: Look,
    previous: Look | None,
    *,
    expected: Mapping[str, Expectation],
) -> str:
    """The whole page.

    Args:
        facts: verdict, notes and measures.
        now: the span's rows.
        previous: rows of the accepted span before.
        expected: the schema's columns by name.
    """
    title = f"Span {facts.manifest.number} of {facts.loop.name}: " + (
        "accepted" if facts.verdict.accepted else "rejected"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{_verdict(facts)}
{_facts(facts)}
{_list("Reasons", facts.verdict.reasons)}
{_list("What validation found, over which a person decided", facts.found)}
{_features(facts, now, previous, expected)}
{_list("Notes, none of them a reason to refuse", facts.notes)}
{_anomalies(facts)}
</body></html>
"""


def _verdict(facts: ReportFacts) -> str:
    verdict, count = facts.verdict, len(facts.verdict.reasons)
    if verdict.accepted:
        sentence = "Models may learn from this span: nothing was found against it."
    else:
        sentence = (
            f"Models may not learn from this span, for {count} reason{'s' if count != 1 else ''}: "
            f"{verdict.reasons[0]}. The champion stays as it is."
        )
    if verdict.by_person:
        said = "accepted" if verdict.accepted else "rejected"
        sentence = f"{verdict.by} {said} this span; a person's verdict stands over validation's."
    kind = "accepted" if verdict.accepted else "rejected"
    return f'<section class="verdict {kind}"><p>{_ticks(sentence)}</p></section>'


def _facts(facts: ReportFacts) -> str:
    manifest, about = facts.manifest, facts.schema_version
    before = facts.previous
    rows = {
        "Rows": f"{manifest.rows:,} from {manifest.source}",
        "Time": f"{manifest.start:%Y-%m-%d %H:%M} to {manifest.end:%Y-%m-%d %H:%M} UTC",
        "Compared with": f"span {before.number}, {before.rows:,} rows, "
        f"{before.start:%Y-%m-%d} to {before.end:%Y-%m-%d}"
        if before
        else "nothing, as no earlier span is accepted",
        "Schema": f"version {about.version} by {about.by}, {about.at:%Y-%m-%d %H:%M} UTC",
        "Judged": f"{facts.verdict.at:%Y-%m-%d %H:%M} UTC by {facts.verdict.by}",
        "TFDV": facts.tfdv_version,
        "Digest": manifest.digest,
    }
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{items}</dl>"


def _list(title: str, sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{_ticks(s)}</li>" for s in sentences)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>" if items else ""


def _ticks(sentence: str) -> str:
    """Words between backticks as code."""
    parts = escape(sentence).split("`")
    if len(parts) % 2 == 0:
        return escape(sentence)
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _features(
    facts: ReportFacts,
    now: Look,
    previous: Look | None,
    expected: Mapping[str, Expectation],
) -> str:
    skew = any(d.check is Check.SKEW for d in facts.distances)
    heads = ["Feature", "Null", "Values", "Distribution", "Drift"] + (["Skew"] if skew else [])
    rows = "".join(
        _feature(name, e, facts, now, previous, skew=skew) for name, e in expected.items()
    )
    key = "<b>filled: now</b>" + (", <i>line: the span before</i>" if previous is not None else "")
    return (
        f'<h2>Features</h2><p class="key">{key}; the upright mark on a bar is the limit.</p>'
        '<div class="wide"><table><thead><tr>'
        + "".join(f'<th scope="col">{h}</th>' for h in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _feature(
    name: str,
    expectation: Expectation,
    facts: ReportFacts,
    now: Look,
    previous: Look | None,
    *,
    skew: bool,
) -> str:
    refused = any(r.startswith((f"`{name}`", f"label `{name}`")) for r in facts.verdict.reasons)
    kind = "label" if expectation.label else expectation.type
    unit = f", {escape(expectation.unit)}" if expectation.unit else ""
    head = f'<th scope="row"><code>{escape(name)}</code><br><small>{kind}{unit}</small></th>'
    opened = f'<tr class="{"refused" if refused else "fine"}">{head}'
    if name not in now.tallies:
        return f'{opened}<td colspan="{5 if skew else 4}">missing</td></tr>'
    seen = previous if previous is not None and name in previous.tallies else None
    sample = now.sample[name]
    cells = [
        _nulls(now.tallies[name], seen.tallies[name] if seen else None),
        _values(sample, now.tallies[name]),
        sparkline(name, *shares(sample, seen.sample[name] if seen else None)),
        _distance(facts, name, Check.DRIFT),
    ]
    if skew:
        cells.append(_distance(facts, name, Check.SKEW))
    return opened + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _nulls(now: Tally, before: Tally | None) -> str:
    earlier = (
        f"<br><small>before {percent(before.null_share)}</small>" if before is not None else ""
    )
    return percent(now.null_share) + earlier


def _values(sample: "pd.Series[Any]", tally: Tally) -> str:
    present = sample.dropna()
    if present.empty:
        return "none"
    if pd.api.types.is_numeric_dtype(present):
        values = present.to_numpy(float)
        low = min(values.min(), tally.low, tally.outside_low)
        high = max(values.max(), tally.high, tally.outside_high)
        return f"{low:g} … {high:g}<br><small>median {np.median(values):g}</small>"
    top = present.value_counts(normalize=True).head(3)
    shown = ", ".join(f"{escape(str(v))} {percent(s)}" for v, s in top.items())
    return f"{shown}<br><small>{present.nunique()} values</small>"


def _distance(facts: ReportFacts, name: str, check: Check) -> str:
    for d in facts.distances:
        if d.feature == name and d.check is check:
            limit = f"of {d.limit:.3f}" if d.limit < 1 else "(no limit)"
            return f"{limit_bar(d.value, d.limit)}<small>{d.value:.3f} {limit}</small>"
    return "<small>not compared</small>"


def _anomalies(facts: ReportFacts) -> str:
    if not facts.anomalies:
        return "<h2>Anomalies by TFDV</h2><p>None.</p>"
    rows = "".join(
        f"<tr><td><code>{escape(f)}</code></td><td>{escape(k)}</td><td>{escape(d)}</td></tr>"
        for f, k, d in facts.anomalies
    )
    heads = "".join(f'<th scope="col">{h}</th>' for h in ("Column", "Kind", "What it says"))
    return (
        '<h2>Anomalies by TFDV</h2><div class="wide"><table><thead><tr>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
