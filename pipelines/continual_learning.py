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
from pipelines.settings import TRIGGER_TOKEN, configured

__all__ = ["continual_learning"]


@dsl.pipeline(
    name="continual-learning",
    description="Retrain a model on what is new, prove it, and shift traffic to it step by step.",
)
def continual_learning(loop: str, run_id: str = "", trigger: str = "manual", seed: int = 0) -> None:
    """One retraining.

    Args:
        loop: URL of the loop's declaration (loop.yaml).
        run_id: Name of the run, a DNS label, never used before; left out: made of the job's id.
        trigger: A trigger's id in the ledger, `manual` or `schedule`.
        seed: Of everything random in this run.
    """
    job = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    closing = configured(record(loop=loop, run_id=run_id, trigger=trigger, job=job))
    with dsl.ExitHandler(exit_task=closing, name="Run"):
        admitted = configured(
            admit(loop=loop, run_id=run_id, trigger=trigger, job=job), TRIGGER_TOKEN
        )
        run = admitted.outputs["Output"]
        ingested = configured(ingest(loop=loop, run_id=run))
        span = ingested.outputs["Output"]
        validated = configured(validate(loop=loop, run_id=run, span=span))
        with dsl.If(validated.outputs["Output"] == True, name="Data accepted"):  # noqa: E712
            best = configured(tune(loop=loop, run_id=run, span=span, seed=seed))
            trained = configured(
                train(
                    loop=loop,
                    run_id=run,
                    span=span,
                    algorithm=best.outputs["algorithm"],
                    parameters=best.outputs["parameters"],
                    seed=seed,
                )
            )
            version = trained.outputs["Output"]
            evaluated = configured(
                evaluate(loop=loop, run_id=run, span=span, version=version, seed=seed)
            )
            with dsl.If(evaluated.outputs["Output"] == True, name="Challenger blessed"):  # noqa: E712
                configured(rollout(loop=loop, run_id=run, version=version))
