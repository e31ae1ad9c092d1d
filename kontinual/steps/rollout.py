"""The seventh step: traffic moves to the challenger as the figures allow."""

from pathlib import Path
from typing import Any

from kontinual.rollout import Predictors, PrometheusMetrics, RolloutResult, open_rollout
from kontinual.rollout import rollout as shift
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.steps.station import station
from kontinual.tracking import Tracker

__all__ = ["collaborators", "rollout"]


def collaborators(loop: Loop, settings: Settings) -> dict[str, Any]:
    """What every rollout works with, as these settings say: gateway, metrics, registry, store."""
    gateway, store = open_rollout(loop, settings, predictors=_on_this_machine)
    return {
        "gateway": gateway,
        "metrics": PrometheusMetrics(settings.prometheus, model=loop.name),
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
    """
    with station("rollout", loop, run_id) as here:
        # The champion it was judged against: if another took over since, it is not promoted.
        champion = here.journal.notes()["evaluate"]["champion"]
        parts = collaborators(here.loop, here.settings)
        result = shift(
            here.loop,
            champion=champion,
            challenger=version,
            speedup=here.settings.speedup,
            **parts,
        )
        parts["registry"].set_challenger(None)
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(_markdown(result), encoding="utf-8")
        here.note(
            outcome=result.outcome.value,
            reason=result.reason,
            champion=result.champion,
            steps=[step.model_dump(mode="json") for step in result.steps],
        )
        return result


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
