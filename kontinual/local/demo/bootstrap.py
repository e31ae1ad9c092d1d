"""The first model of a demo: history cut into spans, one run of the pipeline by hand."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

from rich.console import Console

from kontinual.errors import ServiceError
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Loop, Outcome, RunRecord

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


def first_run(
    loop: Loop, url: Path, *, settings: Settings, seed: int, console: Console
) -> RunRecord:
    """Run the pipeline once and show its steps as they come.

    Raises:
        ServiceError: it did not end with a champion; names the log.
    """
    run_id = f"{loop.name}-first"
    lake = Lake(settings.lake_url, loop)
    log = settings.home / "runs" / run_id / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*shlex.split(settings.run_command), "--loop", str(url), "--run-id", run_id]
    with (
        log.open("w") as out,
        console.status("starting the first run") as status,
        subprocess.Popen(
            [*command, "--seed", str(seed)], stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                notes = lake.journal(run_id).notes()
                begun = [text for step, text in STEPS.items() if step in notes]
                status.update(begun[-1] if begun else "starting the first run")
                time.sleep(0.3)
        except BaseException:
            # Its steps are processes of their own, all in the session it leads.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    record = lake.journal(run_id).record()
    if record is None or record.outcome is not Outcome.PROMOTED:
        why = record.reason if record else "it left no record"
        raise ServiceError(f"the first run of {url} gave no champion: {why}; its log is {log}")
    console.print(
        f"first model: version {record.version}, champion after {record.seconds:.0f} s "
        f"({record.reason})"
    )
    return record
