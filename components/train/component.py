"""Train: one algorithm with its parameters becomes a registered model package."""

from kfp import dsl

from components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(
    loop: str,
    run_id: str,
    span: int,
    algorithm: str,
    parameters: str,
    seed: int,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Train, export to ONNX, check the export, register it as a version.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        span: Number of the newest span to train on.
        algorithm: As the declaration names it.
        parameters: Of the algorithm, a JSON object.
        seed: Of everything random.
        model: The model package: ONNX file, signature, monitoring reference.
        metrics: The quality on the holdout.

    Returns:
        The version in the registry.
    """
    import json
    from pathlib import Path

    from kontinual.steps.train import train as step

    version, package = step(
        loop,
        run_id,
        span,
        algorithm=algorithm,
        parameters=json.loads(parameters),
        seed=seed,
        out=Path(model.path),
    )
    model.metadata.update(version=version, algorithm=algorithm, digest=package.digest)
    for name, value in package.reference.quality.model_dump().items():
        metrics.log_metric(name, value)
    return version
