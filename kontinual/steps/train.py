"""The fifth step: the best trial's model, on all rows, as a package in the registry."""

from pathlib import Path
from typing import Any

from kontinual.model import ModelPackage
from kontinual.steps.station import station
from kontinual.tracking import Tracker
from kontinual.training import prepare
from kontinual.training import train as fit_and_package

__all__ = ["train"]


def train(
    loop: str,
    run_id: str,
    span: int,
    *,
    algorithm: str,
    parameters: dict[str, Any],
    seed: int,
    out: Path,
) -> tuple[str, ModelPackage]:
    """Train, export, check the export, and register the package as a version.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        span: number of the newest span to train on.
        algorithm: as the declaration names it.
        parameters: of the algorithm, complete.
        seed: of everything random.
        out: folder the package is written to.

    Returns:
        The registered version and the package.
    """
    with station("train", loop, run_id) as here:
        data = prepare(here.loop, here.lake, span, seed=seed)
        package = fit_and_package(
            here.loop, data, algorithm=algorithm, parameters=parameters, seed=seed, out=out
        )
        tracker = Tracker(here.settings.tracking_uri, here.loop.name)
        quality = {k: float(v) for k, v in package.reference.quality.model_dump().items()}
        version = tracker.register(out, run_id=run_id, metrics=quality)
        here.note(version=version, algorithm=algorithm, quality=quality)
        return version, package
