"""Record: how the run ended and why, whatever happened."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def record(loop: str, run_id: str, trigger: str, job: str) -> str:
    """Close the journal of a run. Meant as the exit task of a pipeline.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run, as `admit` was told it.
        trigger: What started it.
        job: The pipeline job, as `admit` was told it.

    Returns:
        The outcome: promoted, rejected_data, rejected_model, rolled_back or failed.
    """
    from kontinual.steps.record import record as step

    return step(loop, run_id, trigger, job).outcome.value
