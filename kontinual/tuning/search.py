"""Who searches: this process, or Katib on the cluster that the settings speak of."""

from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.tracking import Tracker
from kontinual.training import prepare
from kontinual.tuning.result import TuningResult
from kontinual.tuning.tune import Progress, tune

__all__ = ["search"]


def search(
    loop: Loop,
    lake: Lake,
    span: int,
    *,
    url: str,
    settings: Settings,
    tracker: Tracker,
    run_id: str,
    seed: int,
    progress: Progress | None = None,
) -> TuningResult:
    """Find the best algorithm and parameters on the rows up to a span.

    Args:
        loop: space, metric and budget.
        lake: where the rows are.
        span: number of the newest span to train on.
        url: of the declaration, for trials that run elsewhere.
        settings: `tuner` says who searches; Katib asks for `train_image` too.
        tracker: keeps every trial, and knows the former ones.
        run_id: the run that the trials belong to.
        seed: of every trial.
        progress: told after each trial.

    Raises:
        TrainingError: a trainer is not to be had, no trial succeeded, or Katib gave up.
        SpecError: the settings lack what Katib needs.
        ClusterError: there is no cluster, or it refused.
        TrackingError: a trial could not be kept.
    """
    if settings.tuner == "optuna":
        data = prepare(loop, lake, span, seed=seed)
        return tune(loop, data, tracker=tracker, run_id=run_id, seed=seed, progress=progress)
    # Only where it searches: these take a second or two to import.
    from kontinual.cluster import api_client, namespace
    from kontinual.tuning.katib import KatibApi, Task, tune_on_katib

    task = Task.of(loop, settings, url=url, run_id=run_id, span=span, seed=seed)
    with api_client() as client:
        api = KatibApi(client, namespace())
        return tune_on_katib(loop, task, api=api, tracker=tracker, progress=progress)
