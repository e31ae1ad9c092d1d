"""Champion against challenger on new, old and sliced held-out rows."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kontinual.evaluation.bootstrap import RESAMPLES, Improvement, improvements
from kontinual.evaluation.curves import calibration, confusion, roc
from kontinual.evaluation.gates import judge, judge_first, summary
from kontinual.evaluation.groups import (
    Scored,
    Scorer,
    Unscored,
    constant_scores,
    old_groups,
    slice_groups,
    truth_of,
)
from kontinual.evaluation.records import Against, Comparison, Evaluation, On
from kontinual.lake import Lake
from kontinual.model import Signature
from kontinual.spec import CategoryFeature, Loop, Metric

__all__ = ["evaluate"]

METRICS: tuple[Metric, ...] = ("log_loss", "roc_auc", "brier")


def evaluate(
    loop: Loop,
    lake: Lake,
    *,
    champion: Path | None,
    challenger: Path,
    span: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Decide whether a challenger may replace the champion.

    Args:
        loop: holds the gates and slices.
        lake: holds the held-out rows.
        champion: package folder of the champion; None for the first model of a loop, which has
            to be surely better than always answering the base rate.
        challenger: package folder of the challenger.
        span: number of the newest span.
        seed: of the bootstrap; the same seed gives the same evaluation.
        resamples: of the bootstrap.

    Raises:
        LakeError: a span is missing or damaged, or none holds a held-out row.
        ModelPackageError: a package is damaged, or the challenger does not fit the rows of the
            new span. A champion that needs what these rows no longer have gets null for it.
    """
    new_scorer = Scorer(challenger)
    old_scorer = Scorer(champion) if champion is not None else None
    numbers, rows = lake.recent_holdout(span)
    frame = rows.read()
    blocks, labels = truth_of(loop, frame)
    lacking = _lacking(loop, old_scorer.package.signature) if old_scorer else []
    before = old_scorer.scores(frame, nulls=lacking) if old_scorer else constant_scores(labels)
    new = Scored("new", _named(numbers), blocks, labels, before, new_scorer.scores(frame))
    groups: list[Scored | Unscored] = [new, *slice_groups(loop, frame, new)]
    if old_scorer:
        groups += old_groups(
            loop, lake, champion=old_scorer, challenger=new_scorer, before=numbers[0]
        )
    comparisons = [
        comparison
        for group in groups
        for comparison in _compared(group, _metrics(loop, group.on), seed=seed, resamples=resamples)
    ]
    findings = judge(loop.gates, comparisons) if old_scorer else judge_first(comparisons)
    against: Against = "champion" if old_scorer else "base rate"
    blessed, reason, reasons = summary(findings, against=against)
    return Evaluation(
        blessed=blessed,
        reason=reason + _without(lacking),
        reasons=reasons,
        loop=loop.name,
        span=span,
        against=against,
        champion_lacks=lacking,
        score_gap=_score_gap(new) if old_scorer and not lacking else None,
        resamples=resamples,
        comparisons=comparisons,
        findings=findings,
        roc=roc(labels, new.challenger),
        champion_roc=roc(labels, before) if old_scorer else None,
        confusion=confusion(labels, new.challenger),
        calibration=calibration(labels, new.challenger),
        champion_calibration=calibration(labels, before) if old_scorer else [],
    )


def _score_gap(scored: Scored) -> float:
    return float(scored.challenger.mean() - scored.champion.mean())


def _named(spans: Sequence[int]) -> str:
    return f"span {spans[0]}" if len(spans) == 1 else f"spans {spans[0]} to {spans[-1]}"


def _metrics(loop: Loop, on: On) -> Sequence[Metric]:
    """Everything on the new holdout; log loss and what gates ask for elsewhere."""
    asked = {gate.metric for gate in loop.gates if gate.on == on} | {"log_loss"}
    return [m for m in METRICS if on == "new" or m in asked]


def _compared(
    group: Scored | Unscored, metrics: Sequence[Metric], *, seed: int, resamples: int
) -> list[Comparison]:
    if isinstance(group, Unscored):
        return [
            Comparison(metric=m, on=group.on, group=group.group, rows=group.rows, note=group.note)
            for m in metrics
        ]
    # A group's draws hang on its name alone, so that other groups do not move its interval.
    rng = np.random.default_rng([seed, zlib.crc32(f"{group.on} {group.group}".encode())])
    found = improvements(
        group.labels,
        group.champion,
        group.challenger,
        blocks=group.blocks,
        metrics=metrics,
        rng=rng,
        resamples=resamples,
    )
    return [_comparison(group, metric, found) for metric in metrics]


def _comparison(group: Scored, metric: Metric, found: dict[Metric, Improvement]) -> Comparison:
    seen = found.get(metric)
    about = Comparison(
        metric=metric,
        on=group.on,
        group=group.group,
        rows=len(group.labels),
        blocks=len(np.unique(group.blocks)),
    )
    if seen is None:
        return about.model_copy(update={"note": "all its labels are the same"})
    figures = {
        "champion": seen.champion,
        "challenger": seen.challenger,
        "improvement": seen.estimate,
        "low": seen.low,
        "high": seen.high,
        "blocks_of_one_size": seen.blocks,
        "note": "" if seen.low is not None else _one_block(metric),
    }
    return about.model_copy(update=figures)


def _one_block(metric: Metric) -> str:
    which = "its rows of one label" if metric == "roc_auc" else "its rows"
    return f"{which} are nearly all of one block of time, so nothing tells how much that varies"


def _lacking(loop: Loop, champion: Signature) -> list[str]:
    """The champion's features that loop.yaml no longer declares, so that new rows lack them.

    Text for what was a number, or the reverse, is as good as nothing to it.
    """
    declared = {f.name: isinstance(f, CategoryFeature) for f in loop.data.features}
    return [
        f.name
        for f in champion.features
        if declared.get(f.name) is not isinstance(f, CategoryFeature)
    ]


def _without(lacking: Sequence[str]) -> str:
    if not lacking:
        return ""
    names = ", ".join(f"`{name}`" for name in lacking)
    return f" The champion got null for {names}, which loop.yaml no longer declares."
