"""The fourth step: which algorithm, with which parameters?"""

from pathlib import Path

from kontinual.steps.station import station
from kontinual.tracking import Tracker, TrialRecord
from kontinual.tuning import search, trials_html

__all__ = ["tune"]


def tune(loop: str, run_id: str, span: int, *, seed: int, report: Path) -> TrialRecord:
    """Search the declared space on the training rows; every trial is tracked.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        span: number of the newest span to train on.
        seed: added to the declared seed; the same one gives the same best trial.
        report: where the table of trials (HTML) is written.

    Returns:
        The best trial.
    """
    with station("tune", loop, run_id) as here:
        tracker = Tracker(here.settings.tracking_uri, here.loop.name)
        result = search(
            here.loop,
            here.lake,
            span,
            url=loop,
            settings=here.settings,
            tracker=tracker,
            run_id=run_id,
            seed=seed,
        )
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(trials_html(result), encoding="utf-8")
        best = result.best
        here.note(
            trials=len(result.trials),
            algorithm=best.algorithm,
            parameters=best.parameters,
            metrics=best.metrics,
        )
        return best
