"""The first model of a demo: a person asks the trigger for it, past the policy."""

import time

from rich.console import Console

from kontinual.errors import ServiceError
from kontinual.lake import Lake
from kontinual.local.services import token_of
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import TriggerClient

__all__ = ["first_run"]

STEPS = {
    "admit": "opening the journal",
    "ingest": "cutting January and February into spans",
    "validate": "validating them with TFDV",
    "tune": "searching algorithms and parameters",
    "train": "training and exporting to ONNX",
    "evaluate": "evaluating the first model",
    "rollout": "deploying it as champion",
    "close": "closing the journal",
}


def first_run(loop: Loop, *, settings: Settings, seed: int, console: Console) -> RunRecord:
    """Have the trigger run the pipeline once, and show its steps as they come.

    Raises:
        ServiceError: it did not end with a champion; names the log.
    """
    run_id = f"{loop.name}-first"
    lake = Lake(settings.lake_url, loop)
    log = settings.home / "runs" / run_id / "run.log"
    with (
        TriggerClient(settings.trigger, token=token_of(settings), by="demo") as trigger,
        console.status("starting the first run") as status,
    ):
        asked = trigger.ask("the first model", past_policy=True, run=run_id, seed=seed)
        if asked["run"] is None:
            raise ServiceError(f"the first run of {loop.name} is not started: {asked['reason']}")
        while trigger.run(run_id)["state"] != "ended":
            notes = lake.journal(run_id).notes()
            begun = [text for step, text in STEPS.items() if step in notes]
            status.update(begun[-1] if begun else "starting the first run")
            time.sleep(0.3)
    record = lake.journal(run_id).record()
    if record is None or record.outcome is not Outcome.PROMOTED:
        why = record.reason if record else "it left no record"
        raise ServiceError(
            f"the first run of {loop.name} gave no champion: {why}; its log is {log}"
        )
    console.print(
        f"first model: version {record.version}, champion after {record.seconds:.0f} s "
        f"({record.reason})"
    )
    return record
