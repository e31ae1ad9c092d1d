"""Putting the report together from what was served, decided, run and measured."""

import logging
from datetime import UTC, datetime
from typing import Any

import httpx

from kontinual.local.demo.options import DemoOptions
from kontinual.local.demo.report import (
    ChampionScore,
    DemoReport,
    DriftPoint,
    MonthReport,
    Overall,
    QualityPoint,
    RunReport,
    Score,
    Series,
    StepReport,
    TriggerReport,
    WeightPoint,
)
from kontinual.local.demo.score import Scoreboard
from kontinual.local.demo.watch import Watch
from kontinual.model import Quality
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord

__all__ = ["collect_report", "collect_series", "drift_over_time"]

log = logging.getLogger("kontinual.demo")


def collect_report(
    loop: Loop,
    options: DemoOptions,
    *,
    scores: Scoreboard,
    watch: Watch,
    records: list[RunRecord],
    setup_seconds: float,
    seconds: float,
) -> DemoReport:
    """The report of a demo that has ended."""
    return DemoReport(
        loop=loop.name,
        seed=options.seed,
        seconds=round(seconds, 1),
        setup_seconds=round(setup_seconds, 1),
        months=[_month(scores, month) for month in scores.months],
        overall=Overall(champion=_score(scores.champion()), frozen=_score(scores.frozen())),
        triggers=[_trigger(t) for t in watch.triggers],
        runs=_runs(records, watch),
    )


def collect_series(scores: Scoreboard, records: list[RunRecord], drift: list[DriftPoint]) -> Series:
    """What the plots are drawn from."""
    quality = [QualityPoint(**vars(point)) for point in scores.points()]
    weights = [point for record in records for point in _weights(record)]
    return Series(quality=quality, weights=weights, drift=drift)


def drift_over_time(settings: Settings, *, since: datetime) -> list[DriftPoint]:
    """What Prometheus recorded of each feature's drift; nothing when it can not be asked."""
    until = datetime.now(UTC)
    query: dict[str, str | float] = {
        "query": "max by (feature) (kontinual:feature_psi)",
        "start": since.timestamp(),
        "end": until.timestamp(),
        "step": max((until - since).total_seconds() / 120, 1.0),
    }
    try:
        url = f"{settings.prometheus}/api/v1/query_range"
        answer = httpx.get(url, params=query, timeout=30).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as exc:
        log.warning("drift can not be drawn, Prometheus did not answer: %s", exc)
        return []
    return [
        DriftPoint(
            time=datetime.fromtimestamp(float(moment), UTC).isoformat(),
            feature=series["metric"]["feature"],
            psi=float(value),
        )
        for series in answer["data"]["result"]
        for moment, value in series["values"]
    ]


def _month(scores: Scoreboard, month: int) -> MonthReport:
    served = _score(scores.champion(month))
    return MonthReport(
        month=month,
        rows=scores.rows(month),
        champion=ChampionScore(version=scores.version(month), **served.model_dump()),
        frozen=_score(scores.frozen(month)),
    )


def _score(quality: Quality | None) -> Score:
    if quality is None:
        return Score(auc=None, log_loss=None)
    return Score(auc=round(quality.roc_auc, 4), log_loss=round(quality.log_loss, 4))


def _trigger(told: dict[str, Any]) -> TriggerReport:
    values = {name: told[name] for name in TriggerReport.model_fields}
    return TriggerReport(**values | {"id": str(told["id"])})


def _runs(records: list[RunRecord], watch: Watch) -> list[RunReport]:
    """The runs with a record, then those the trigger knows to have ended without one."""
    known = {record.id for record in records}
    recorded = [
        RunReport(
            id=record.id,
            trigger=record.trigger,
            outcome=record.outcome,
            reason=record.reason,
            seconds=round(record.seconds, 1),
            version=record.version,
            steps=[
                StepReport(weight=s.weight, verdict=s.verdict, requests=s.requests)
                for s in record.steps
            ],
        )
        for record in records
    ]
    failed = [
        RunReport(
            id=run["id"],
            trigger=str(run["trigger"]),
            outcome=Outcome.FAILED,
            reason=run["reason"],
            seconds=round(run["seconds"] or 0.0, 1),
            version=None,
            steps=[],
        )
        for run in watch.runs
        if run["outcome"] and run["id"] not in known
    ]
    return recorded + failed


def _weights(record: RunRecord) -> list[WeightPoint]:
    """The canary's weight from the start of each step, and 0 or 100 from the last one's end."""
    points = [
        WeightPoint(time=step.started_at.isoformat(), run=record.id, weight=step.weight)
        for step in record.steps
    ]
    if record.steps:
        last = 100 if record.outcome is Outcome.PROMOTED else 0
        ended = record.steps[-1].ended_at.isoformat()
        points.append(WeightPoint(time=ended, run=record.id, weight=last))
    return points
