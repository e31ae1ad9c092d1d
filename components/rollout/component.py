"""Roll out: shift traffic to the challenger step by step, or back."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def rollout(loop: str, run_id: str, version: str, report: dsl.Output[dsl.Markdown]) -> str:
    """Take the challenger through the declared steps as Prometheus' figures allow.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        version: The challenger's, in the registry.
        report: Each step with its verdict.

    Returns:
        `promoted` or `rolled_back`.
    """
    from pathlib import Path

    from kontinual.steps.rollout import rollout as step

    return step(loop, run_id, version=version, report=Path(report.path)).outcome.value
