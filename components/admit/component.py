"""Admit a run: open its journal and refuse a run that has ended already."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def admit(loop: str, run_id: str, trigger: str) -> str:
    """Open the journal of a run.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run, a DNS label; one journal is kept for each.
        trigger: What started it: a trigger's id in the ledger, `manual` or `schedule`.

    Returns:
        The name of the loop.
    """
    from kontinual.steps.admit import admit as step

    return step(loop, run_id, trigger)
