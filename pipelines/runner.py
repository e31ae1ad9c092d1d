"""kfp.local with an interpreter for each image, warm for all tasks but the first ones."""

import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path

from kfp import local
from kfp.local import subprocess_task_handler as tasks
from kfp.local.status import Status

from components.images import TRAIN
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import RunRecord, load_loop
from pipelines.continual_learning import continual_learning
from pipelines.local import interpreter
from pipelines.warm import WarmPython

__all__ = ["handler", "run"]

# They import little, and are done before the data environment's interpreter is warm.
COLD = frozenset({"admit", "ingest"})
# Which interpreter gets warm beside a task: imports want a processor of their own.
STARTS = {"validate": TRAIN}
_EXECUTOR = "python3 -m kfp.dsl.executor_main"


def handler(
    settings: Settings, pythons: Mapping[str, WarmPython], *, scratch: Path
) -> type[tasks.SubprocessTaskHandler]:
    """The handler that kfp takes for a task, but in the interpreter that its image stands for.

    Args:
        settings: where the interpreters are.
        pythons: the warm ones, by image.
        scratch: the tasks' folder for temporary files.
    """

    class EnvironmentTaskHandler(tasks.SubprocessTaskHandler):
        def validate_image(self, image: str) -> None:
            """Every image has an interpreter here; kfp's check looks for "python" in names."""

        def run(self) -> Status:
            step = self.full_command[self.full_command.index("--function_to_execute") + 1]
            if step in STARTS:
                pythons[STARTS[step]].start()
            if step in COLD:
                python = shlex.quote(interpreter(self.image, settings))
            else:
                python = pythons[self.image].command
            # kfp's own replacement would change a "python3" in the arguments' paths as well.
            command = [
                part.replace("python3", python, 1) if _EXECUTOR in part else part
                for part in self.full_command
            ]
            variables = {**self.env_vars, "TMPDIR": str(scratch)}
            code = tasks.run_local_subprocess(command, env_vars=variables)
            return Status.SUCCESS if code == 0 else Status.FAILURE

    return EnvironmentTaskHandler


def run(
    loop: str,
    *,
    run_id: str,
    trigger: str,
    seed: int,
    settings: Settings,
    pythons: Mapping[str, WarmPython],
    scratch: Path,
) -> RunRecord | None:
    """Run the pipeline to its end; `scratch` is for the temporary files of its tasks.

    Returns:
        What the run recorded of itself; None when it did not come so far.
    """
    # kfp.local finds its runner by exact type, but this handler when a task starts.
    tasks.SubprocessTaskHandler = handler(settings, pythons, scratch=scratch)
    artifacts = settings.home.resolve() / "runs" / run_id / "artifacts"
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(artifacts),
        raise_on_error=False,
    )
    # What it says of every step: here a run shares the machine, as it always did.
    warnings.filterwarnings("ignore", message="Task .* have no effect in the current local runner")
    continual_learning(loop=loop, run_id=run_id, trigger=trigger, seed=seed)
    return Lake(settings.lake_url, load_loop(loop)).journal(run_id).record()
