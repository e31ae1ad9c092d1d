"""The sixth step: is the challenger fit to replace the champion?"""

from pathlib import Path

from kontinual.evaluation import Evaluation, evaluation_html
from kontinual.evaluation import evaluate as compare
from kontinual.steps.station import station
from kontinual.tracking import Tracker

__all__ = ["evaluate"]


def evaluate(
    loop: str, run_id: str, span: int, *, version: str, seed: int, report: Path
) -> Evaluation:
    """Compare a version with the champion on new and on old data, and on slices.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        span: number of the newest span.
        version: of the challenger.
        seed: of the bootstrap.
        report: where the HTML report is written.
    """
    with station("evaluate", loop, run_id) as here:
        tracker = Tracker(here.settings.tracking_uri, here.loop.name)
        champion = tracker.champion()
        evaluation = compare(
            here.loop,
            here.lake,
            champion=None if champion is None else tracker.package(champion),
            challenger=tracker.package(version),
            span=span,
            seed=seed,
        )
        tracker.set_challenger(version if evaluation.blessed else None)
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(evaluation_html(evaluation), encoding="utf-8")
        here.note(
            version=version,
            champion=champion,
            blessed=evaluation.blessed,
            reason=evaluation.reason,
            score_gap=evaluation.score_gap,
        )
        return evaluation
