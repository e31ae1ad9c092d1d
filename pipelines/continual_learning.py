"""The one pipeline: admit, ingest, validate, tune, train, evaluate, roll out, record.

It is flat, and no task takes an artifact of another: what a later step needs
travels as a small parameter (a span's number, a version), and the bytes stay in
the lake and in the registry. So one definition runs on Kubeflow and under kfp.local.
"""

from kfp import dsl

from components.admit.component import admit
from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.record.component import record
from components.rollout.component import rollout
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate

__all__ = ["continual_learning"]


@dsl.pipeline(
    name="continual-learning",
    description="Retrain a model on what is new, prove it, and shift traffic to it step by step.",
)
def continual_learning(loop: str, run_id: str, trigger: str = "manual", seed: int = 0) -> None:
    """One retraining.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run, a DNS label, never used before.
        trigger: A trigger's id in the ledger, `manual` or `schedule`.
        seed: Of everything random in this run.
    """
    closing = record(loop=loop, run_id=run_id, trigger=trigger).set_caching_options(False)
    with dsl.ExitHandler(exit_task=closing, name="Run"):
        admitted = admit(loop=loop, run_id=run_id, trigger=trigger).set_caching_options(False)
        ingested = ingest(loop=loop, run_id=run_id).set_caching_options(False).after(admitted)
        span = ingested.outputs["Output"]
        validated = validate(loop=loop, run_id=run_id, span=span).set_caching_options(False)
        with dsl.If(validated.outputs["Output"] == True, name="Data accepted"):  # noqa: E712
            best = tune(loop=loop, run_id=run_id, span=span, seed=seed).set_caching_options(False)
            trained = train(
                loop=loop,
                run_id=run_id,
                span=span,
                algorithm=best.outputs["algorithm"],
                parameters=best.outputs["parameters"],
                seed=seed,
            ).set_caching_options(False)
            version = trained.outputs["Output"]
            evaluated = evaluate(
                loop=loop, run_id=run_id, span=span, version=version, seed=seed
            ).set_caching_options(False)
            with dsl.If(evaluated.outputs["Output"] == True, name="Challenger blessed"):  # noqa: E712
                rollout(loop=loop, run_id=run_id, version=version).set_caching_options(False)
