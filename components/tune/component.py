"""Tune: search algorithms and their parameters."""

from typing import NamedTuple

from kfp import dsl

from components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def tune(
    loop: str,
    run_id: str,
    span: int,
    seed: int,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Best", [("algorithm", str), ("parameters", str)]):
    """Search the declared space; every trial is tracked with what it cost.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        span: Number of the newest span to train on.
        seed: Of everything random; the same seed gives the same best.
        report: The table of trials.
        metrics: The best trial's metrics.

    Returns:
        The best trial's algorithm, and its parameters as JSON (a KFP dict would turn 240 to 240.0).
    """
    import json
    from pathlib import Path

    from kontinual.steps.tune import tune as step

    best = step(loop, run_id, span, seed=seed, report=Path(report.path))
    for name, value in best.metrics.items():
        metrics.log_metric(name, value)
    return (best.algorithm, json.dumps(best.parameters))
