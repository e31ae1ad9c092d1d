"""One training: from encoded rows to a complete model package."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kontinual.errors import KontinualError, TrainingError
from kontinual.model import ModelPackage, Reference, Signature, quality
from kontinual.spec import Loop
from kontinual.training.data import TrainingSet
from kontinual.training.export import check_fidelity, onnx_scores
from kontinual.training.revision import code_version
from kontinual.training.trainers import Estimator, complete, trainer

__all__ = ["fit", "positive_scores", "train"]

# Threads that wait for each other gain nothing on fewer rows, and cost five times the fit
# where other processes want the same cores (60,000 rows: 0.5 or 3.2 s by two, 0.65 s by one).
_ROWS_PER_THREAD = 250_000


def fit(
    loop: Loop,
    matrix: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    algorithm: str,
    parameters: dict[str, Any],
    seed: int,
) -> Estimator:
    """A model of the loop's algorithm, fitted to rows.

    Args:
        loop: its features and fixed parameters.
        matrix: float32 [n, F].
        labels: 0 or 1, [n].
        algorithm: a built-in name, or package.module:Class.
        parameters: the searched ones; fixed ones and defaults are added.
        seed: of everything random.

    Raises:
        TrainingError: the algorithm is not to be had, or fails on these rows or parameters.
    """
    chosen = complete(loop, algorithm, parameters)
    try:
        return trainer(algorithm).fit(
            matrix, labels, features=loop.data.features, parameters=chosen, seed=seed
        )
    except KontinualError:
        raise
    except Exception as exc:  # whatever an algorithm raises; the message says which
        raise TrainingError(
            f"{algorithm} failed with {chosen}: {type(exc).__name__}: {exc}"
        ) from exc


def positive_scores(
    estimator: Estimator, matrix: npt.NDArray[np.float32]
) -> npt.NDArray[np.floating]:
    """Probability of label 1 by a fitted model, [n]."""
    return np.asarray(estimator.predict_proba(matrix))[:, 1]


def train(
    loop: Loop,
    data: TrainingSet,
    *,
    algorithm: str,
    parameters: dict[str, Any],
    seed: int,
    out: Path,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ModelPackage:
    """Fit on the training rows, prove the export on the holdout, write the package.

    Args:
        loop: the declaration.
        data: rows of the training and of the holdout.
        algorithm: a built-in name, or package.module:Class.
        parameters: those that the search chose.
        seed: same rows, parameters and seed give a model that answers the same.
        out: folder of the package; what it held of an earlier attempt is replaced.
        clock: time of birth.

    Raises:
        TrainingError: the fit or the export failed, or the exported model answers otherwise.
            Nothing is written then.
    """
    # Only the environment that trains has it.
    from threadpoolctl import threadpool_limits

    threads = min(1 + len(data.labels) // _ROWS_PER_THREAD, os.cpu_count() or 1)
    with threadpool_limits(limits=threads):
        estimator = fit(
            loop, data.matrix, data.labels, algorithm=algorithm, parameters=parameters, seed=seed
        )
    model = trainer(algorithm).export(estimator, loop.data.features)
    served = onnx_scores(model, data.holdout_matrix)
    check_fidelity(positive_scores(estimator, data.holdout_matrix), served, what=algorithm)
    reference = Reference.of(
        loop.data.features, data.matrix, served, quality(data.holdout_labels, served)
    )
    # The manifest, written last, makes a package; none may outlive its model file.
    shutil.rmtree(out, ignore_errors=True)
    return ModelPackage.write(
        out,
        model,
        loop=loop.name,
        signature=_signature(loop),
        reference=reference,
        algorithm=algorithm,
        parameters=complete(loop, algorithm, parameters),
        spans=data.spans,
        code_version=code_version(),
        seed=seed,
        created_at=clock(),
    )


def _signature(loop: Loop) -> Signature:
    return Signature(
        id=loop.data.id,
        time=loop.data.time,
        features=loop.data.features,
        label=loop.data.label.name,
    )
