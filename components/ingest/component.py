"""Ingest: rows whose labels have matured become a numbered, immutable span."""

from kfp import dsl

from components.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def ingest(loop: str, run_id: str, metrics: dsl.Output[dsl.Metrics]) -> int:
    """Write what is new as a span: the declared history first, then what the collector holds.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        metrics: Number of the span and its rows.

    Returns:
        The number of the span to work on.
    """
    from kontinual.steps.ingest import ingest as step

    span = step(loop, run_id)
    metrics.log_metric("span", span.number)
    metrics.log_metric("rows", span.rows)
    return span.number
