"""Record: how the run ended and why, whatever happened."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def record(loop: str, run_id: str, trigger: str) -> str:
    """Close the journal of a run. Meant as the exit task of a pipeline.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        trigger: What started it.

    Returns:
        The outcome: promoted, rejected_data, rejected_model, rolled_back or failed.
    """
    from kontinual.steps.record import record as step

    return step(loop, run_id, trigger).outcome.value
