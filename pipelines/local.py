"""Run the pipeline on this machine by kfp.local, each task in its environment's interpreter.

`python pipelines/local.py --loop loop.yaml --run-id my-run` is what the trigger
starts on a laptop. Exit code 0: the run came to an outcome, whichever; 1: it failed.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

# Run as a file, from any folder: the components lie beside this one's folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kfp import local
from kfp.local import subprocess_task_handler as tasks
from kfp.local.status import Status

from components.images import DATA
from kontinual.errors import KontinualError, ServiceError
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Outcome, RunRecord, load_loop
from pipelines.continual_learning import continual_learning

__all__ = ["EnvironmentTaskHandler", "interpreter", "run"]


def interpreter(image: str, settings: Settings) -> str:
    """The Python that stands on this machine for an image.

    Raises:
        ServiceError: the data environment is not there.
    """
    if image != DATA:
        return sys.executable
    if shutil.which(settings.data_python) is None:
        raise ServiceError(
            f"the data environment's interpreter {settings.data_python} is not there; "
            "run `make setup`, or set KONTINUAL_DATA_PYTHON"
        )
    return str(settings.data_python)


class EnvironmentTaskHandler(tasks.SubprocessTaskHandler):
    """A task as a subprocess of the interpreter that its image stands for."""

    def validate_image(self, image: str) -> None:
        """Every image of ours has an interpreter here; kfp's check looks for "python" in names."""

    def run(self) -> Status:
        python = interpreter(self.image, Settings())
        code = tasks.run_local_subprocess(
            full_command=tasks.replace_python_executable(self.full_command, python),
            env_vars=self.env_vars,
        )
        return Status.SUCCESS if code == 0 else Status.FAILURE


def run(loop: str, *, run_id: str, trigger: str, seed: int, settings: Settings) -> RunRecord | None:
    """Run the pipeline to its end.

    Returns:
        What the run recorded of itself; None when it did not come so far.
    """
    # kfp.local finds its runner by exact type, but this handler when a task starts.
    tasks.SubprocessTaskHandler = EnvironmentTaskHandler
    artifacts = settings.home.resolve() / "runs" / run_id / "artifacts"
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(artifacts),
        raise_on_error=False,
    )
    continual_learning(loop=loop, run_id=run_id, trigger=trigger, seed=seed)
    return Lake(settings.lake_url, load_loop(loop)).journal(run_id).record()


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", required=True, help="path or URL of loop.yaml")
    parser.add_argument("--run-id", required=True, help="a new name, a DNS label")
    parser.add_argument("--trigger", default="manual", help="id of the ledger's trigger")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    try:
        record = run(
            args.loop, run_id=args.run_id, trigger=args.trigger, seed=args.seed, settings=Settings()
        )
    except KontinualError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(record.model_dump_json(indent=2) if record else "the run left no record")
    return 0 if record and record.outcome is not Outcome.FAILED else 1


if __name__ == "__main__":
    sys.exit(main())
