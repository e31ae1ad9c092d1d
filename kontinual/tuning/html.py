"""A search as a page of its own: the trials in a table, the metric trial by trial in a picture."""

from collections.abc import Sequence
from html import escape

from kontinual.tracking import TrialRecord
from kontinual.tuning.result import TuningResult, is_better, maximized

__all__ = ["trials_html"]

_COLOURS = ("#3366cc", "#dc3912", "#109618", "#ff9900", "#990099", "#0099c6")
_WIDTH, _HEIGHT, _LEFT, _PAD = 760, 240, 64, 24
_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}
table{border-collapse:collapse}
td,th{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
tr.best{background:#e8f4e8;font-weight:600}tr.failed{color:#a33}
.key{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
"""


def trials_html(result: TuningResult) -> str:
    """The whole search as one HTML document without outside parts."""
    best = result.best
    colours = _colours(result.trials)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Trials</title>"
        f"<style>{_STYLE}</style></head><body><h1>Trials of the search</h1>"
        f"<p>Best by {result.metric} on the newest training rows: trial {best.number}, "
        f"{escape(best.algorithm)}, {best.metrics[result.metric]:.5f}; "
        f"{sum(t.complete for t in result.trials)} of {len(result.trials)} trials complete.</p>"
        f"{_picture(result, colours)}{_legend(colours)}{_table(result, colours)}</body></html>"
    )


def _colours(trials: Sequence[TrialRecord]) -> dict[str, str]:
    algorithms = sorted({t.algorithm for t in trials})
    return {a: _COLOURS[i % len(_COLOURS)] for i, a in enumerate(algorithms)}


def _legend(colours: dict[str, str]) -> str:
    entries = (
        f"<span style='margin-right:1.5em'>{_key(c)}{escape(a)}</span>" for a, c in colours.items()
    )
    return f"<p>{''.join(entries)}</p>"


def _key(colour: str) -> str:
    return f"<span class='key' style='background:{colour}'></span>"


def _picture(result: TuningResult, colours: dict[str, str]) -> str:
    """A dot for each complete trial, and a line for the best so far."""
    shown = [t for t in result.trials if t.complete]
    values = [t.metrics[result.metric] for t in shown]
    low, high = min(values), max(values)
    room = (high - low) or abs(high) or 1.0

    def x(trial: TrialRecord) -> float:
        last = max(1, len(result.trials) - 1)
        return _LEFT + (_WIDTH - _LEFT - _PAD) * trial.number / last

    def y(value: float) -> float:
        return _HEIGHT - _PAD - (_HEIGHT - 2 * _PAD) * (value - low) / room

    dots = "".join(
        f"<circle cx='{x(t):.1f}' cy='{y(v):.1f}' r='{7 if t == result.best else 4}' "
        f"fill='{colours[t.algorithm]}'><title>trial {t.number}: {v:.5f}</title></circle>"
        for t, v in zip(shown, values, strict=True)
    )
    line = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in _best_so_far(result, shown))
    labels = "".join(
        f"<text x='{_LEFT - 8}' y='{y(v) + 4:.1f}' text-anchor='end'>{v:.4f}</text>"
        for v in sorted({low, high})
    )
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}' role='img' font-size='12' "
        f"aria-label='{result.metric} by trial'>"
        f"<line x1='{_LEFT}' y1='{_HEIGHT - _PAD}' x2='{_WIDTH - _PAD}' y2='{_HEIGHT - _PAD}' "
        f"stroke='#999'/><polyline points='{line}' fill='none' stroke='#bbb' stroke-width='2'/>"
        f"{dots}{labels}<text x='{_WIDTH / 2}' y='{_HEIGHT - 4}' text-anchor='middle'>"
        f"trial</text><text x='{_LEFT}' y='14'>{result.metric}</text></svg>"
    )


def _best_so_far(
    result: TuningResult, shown: Sequence[TrialRecord]
) -> list[tuple[TrialRecord, float]]:
    line: list[tuple[TrialRecord, float]] = []
    for trial in shown:
        value = trial.metrics[result.metric]
        if line and not is_better(result.metric, value, line[-1][1]):
            value = line[-1][1]
        line.append((trial, value))
    return line


def _table(result: TuningResult, colours: dict[str, str]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in (
            *("trial", "algorithm", "parameters", "roc_auc", "log_loss", "brier"),
            *("seconds", "CPU s", "peak MB", "state"),
        )
    )
    sign = -1 if maximized(result.metric) else 1
    ordered = sorted(
        result.trials,
        key=lambda t: (not t.complete, sign * t.metrics.get(result.metric, 0.0), t.number),
    )
    rows = "".join(_row(t, colours[t.algorithm], best=t == result.best) for t in ordered)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(trial: TrialRecord, colour: str, *, best: bool) -> str:
    parameters = ", ".join(f"{k} = {_short(v)}" for k, v in trial.parameters.items())
    figures = [
        *(f"{trial.metrics[m]:.5f}" if m in trial.metrics else "" for m in _METRICS),
        f"{trial.seconds:.2f}",
        f"{trial.cpu_seconds:.2f}",
        f"{trial.peak_memory_bytes / 1e6:.0f}",
    ]
    state = "best" if best else trial.error or trial.state
    kind = "best" if best else trial.state
    return (
        f"<tr class='{kind}'><td class='n'>{trial.number}</td>"
        f"<td>{_key(colour)}{escape(trial.algorithm)}</td><td>{escape(parameters)}</td>"
        + "".join(f"<td class='n'>{figure}</td>" for figure in figures)
        + f"<td>{escape(state)}</td></tr>"
    )


_METRICS = ("roc_auc", "log_loss", "brier")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
