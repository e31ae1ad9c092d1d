"""Run the pipeline on this machine by kfp.local, each task in its environment's interpreter.

`python pipelines/local.py --loop loop.yaml --run-id my-run` is what the trigger
starts on a laptop. Exit code 0: the run came to an outcome, whichever; 1: it failed.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Run as a file, from any folder: the components lie beside this one's folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from components.images import CONTROL, DATA, TRAIN
from kontinual.errors import KontinualError
from kontinual.home import require_writable, settings_of
from kontinual.interpreters import data_interpreter
from kontinual.scratch import clear_scratch, make_scratch
from kontinual.settings import Settings
from pipelines.warm import WarmPython

__all__ = ["main", "warm_pythons"]

# What the tasks of an environment import between them, the heavy libraries that they import
# late included. Naming too little costs a task time, naming too much costs the warming some.
WARM = {
    DATA: ["kontinual.steps.validate", "tensorflow_data_validation"],
    TRAIN: [
        "kontinual.steps.tune",
        "kontinual.steps.train",
        "kontinual.steps.evaluate",
        "kontinual.steps.rollout",
        "kontinual.steps.record",
        "kontinual.tracking.mlflow_client",
        "mlflow.store.model_registry.sqlalchemy_workspace_store",
        "mlflow.store.tracking.sqlalchemy_workspace_store",
        "optuna",
        "skl2onnx",
    ],
}


def interpreter(environment: str, settings: Settings) -> str:
    """The Python that stands on this machine for an image.

    Raises:
        ServiceError: the data environment is not there.
    """
    return data_interpreter(settings) if environment == DATA else sys.executable


@contextmanager
def warm_pythons(settings: Settings) -> Iterator[Mapping[str, WarmPython]]:
    """An interpreter to be warmed for each environment, by the name of its image.

    Raises:
        ServiceError: the data environment is not there.
    """
    pythons = {image: (interpreter(image, settings), modules) for image, modules in WARM.items()}
    with ExitStack() as stack:
        warm = {image: stack.enter_context(WarmPython(*each)) for image, each in pythons.items()}
        # Where control's tasks run on a laptop as well.
        yield warm | {CONTROL: warm[TRAIN]}


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
        settings = settings_of(args.loop)
        require_writable(settings.home)
        folder = settings.home.resolve() / "runs" / args.run_id
        # kfp's command leaves a folder for every task, Beam one for every computation.
        scratch = make_scratch(folder)
        tempfile.tempdir = str(scratch)
        with warm_pythons(settings) as pythons:
            pythons[DATA].start()
            # A second of imports, beside which that one gets warm.
            from pipelines.runner import run

            record = run(
                args.loop,
                run_id=args.run_id,
                trigger=args.trigger,
                seed=args.seed,
                settings=settings,
                pythons=pythons,
                scratch=scratch,
            )
        # Not when interrupted: then a task may still be taking back what it began.
        clear_scratch(folder)
    except KontinualError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(record.model_dump_json(indent=2) if record else "the run left no record")
    return 0 if record and record.outcome.value != "failed" else 1


if __name__ == "__main__":
    sys.exit(main())
