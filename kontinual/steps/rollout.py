"""The seventh step: traffic moves to the challenger as the figures allow."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kontinual.errors import KontinualError
from kontinual.rollout import (
    CollectorOutcomes,
    Predictors,
    PrometheusMetrics,
    RolloutResult,
    RolloutStore,
    open_rollout,
)
from kontinual.rollout import rollout as shift
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.steps.station import Station, station
from kontinual.tracking import Tracker

__all__ = ["STOP", "collaborators", "rollout"]

STOP = "stop"
"""The note in a run's journal that it is to end: its rollout does not begin any more."""

log = logging.getLogger(__name__)


def collaborators(loop: Loop, settings: Settings) -> dict[str, Any]:
    """What every rollout works with, as these settings say."""
    gateway, store = open_rollout(loop, settings, predictors=_on_this_machine)
    return {
        "gateway": gateway,
        "metrics": PrometheusMetrics(settings.prometheus, model=loop.name),
        "outcomes": CollectorOutcomes(settings.collector),
        "registry": Tracker(settings.tracking_uri, loop.name),
        "store": store,
    }


def _on_this_machine(settings: Settings) -> Predictors:
    # A laptop alone has supervisord; no image does.
    from kontinual.local.predictors import SupervisedPredictors

    return SupervisedPredictors(settings)


def rollout(loop: str, run_id: str, *, version: str, report: Path) -> RolloutResult:
    """Shift traffic to a version that evaluation blessed, or put all back.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        version: of the challenger.
        report: where each step with its verdict is written (Markdown).

    Raises:
        KontinualError: the run was asked to end, or the rollout could not even be undone.
    """
    # The collector is asked at every look, and the phases shall be found between the lines.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with station("rollout", loop, run_id) as here:
        if (stop := here.journal.notes().get(STOP)) is not None:
            raise KontinualError(f"run {run_id} was asked to end by {stop['by']}: start another")
        # The champion it was judged against: if another took over since, it is not promoted.
        evaluated = here.journal.notes()["evaluate"]
        champion = evaluated["champion"]
        parts = collaborators(here.loop, here.settings)
        try:
            result = shift(
                here.loop,
                champion=champion,
                challenger=version,
                score_gap=evaluated["score_gap"] or 0.0,
                speedup=here.settings.speedup,
                **parts,
            )
        except BaseException:
            _note_promotion(here, parts["store"], version)
            raise
        _note(here, result)
        with _best_effort("withdraw the challenger"):
            parts["registry"].set_challenger(None)
        with _best_effort("write the report"):
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(_markdown(result), encoding="utf-8")
        return result


def _note(here: Station, result: RolloutResult) -> None:
    here.note(
        outcome=result.outcome.value,
        reason=result.reason,
        champion=result.champion,
        steps=[step.model_dump(mode="json") for step in result.steps],
    )


def _note_promotion(here: Station, store: RolloutStore, version: str) -> None:
    """What ended the step may have come after the swap: then the version was promoted."""
    with _best_effort("read how far the rollout came"):
        state = store.load()
        if state is not None and state.challenger == version and state.promoted:
            _note(here, RolloutResult.of(state))


@contextmanager
def _best_effort(what: str) -> Iterator[None]:
    """Log an error in what comes after the outcome, which it does not change."""
    try:
        yield
    except Exception as exc:
        log.warning("could not %s: %s", what, exc, exc_info=exc)


def _markdown(result: RolloutResult) -> str:
    lines = [
        f"# {result.outcome.value.replace('_', ' ').capitalize()}",
        "",
        f"Version {result.challenger}: {result.reason}. Champion: {result.champion or 'none'}.",
        "",
        "| weight | verdict | canary requests | seconds | reason |",
        "|---:|---|---:|---:|---|",
    ]
    for step in result.steps:
        seconds = (step.ended_at - step.started_at).total_seconds()
        reason = step.reason.replace("|", "\\|")
        lines.append(
            f"| {step.weight} % | {step.verdict} | {step.requests} | {seconds:.0f} | {reason} |"
        )
    return "\n".join(lines) + "\n"
