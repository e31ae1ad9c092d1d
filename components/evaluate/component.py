"""Evaluate: the challenger against the champion, on new data, on old data and on slices."""

from kfp import dsl

from components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def evaluate(
    loop: str,
    run_id: str,
    span: int,
    version: str,
    seed: int,
    report: dsl.Output[dsl.HTML],
    curves: dsl.Output[dsl.ClassificationMetrics],
) -> bool:
    """Pass the challenger through the declared gates.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run.
        span: Number of the newest span.
        version: The challenger's, in the registry.
        seed: Of the bootstrap.
        report: Comparisons with their intervals, and the verdict.
        curves: ROC curve and confusion matrix of the challenger on new data.

    Returns:
        True when the challenger is blessed.
    """
    from pathlib import Path

    from kontinual.steps.evaluate import evaluate as step

    result = step(loop, run_id, span, version=version, seed=seed, report=Path(report.path))
    curves.log_roc_curve(result.roc.fpr, result.roc.tpr, result.roc.thresholds)
    curves.log_confusion_matrix(["no", "yes"], result.confusion)
    return result.blessed
