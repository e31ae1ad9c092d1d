"""Admit a run: open its journal and refuse a run that has ended already."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def admit(loop: str, run_id: str, trigger: str, job: str) -> str:
    """Open the journal of a run.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run, a DNS label; one journal is kept for each. Empty: made of the job.
        trigger: What started it: a trigger's id in the ledger, `manual` or `schedule`; a run by
            the calendar asks the trigger service first.
        job: The pipeline job (`dsl.PIPELINE_JOB_ID_PLACEHOLDER`); a second one of the same run is
            refused.

    Returns:
        The name of the run.
    """
    from kontinual.steps.admit import admit as step

    return step(loop, run_id, trigger, job)
