"""Validate a span with TFDV: schema, anomalies, drift and skew."""

from kfp import dsl

from components.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def validate(loop: str, run_id: str, span: int, report: dsl.Output[dsl.HTML]) -> bool:
    """Judge whether a span is fit to be learnt from.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        span: Number of the span.
        report: Statistics, anomalies, drift and the verdict.

    Returns:
        True when the span is accepted.
    """
    from pathlib import Path

    from kontinual.steps.validate import validate as step

    return step(loop, run_id, span, report=Path(report.path)).accepted
