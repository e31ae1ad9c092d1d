"""Training: encoded rows in, a model package out whose answers are proven equal."""

from kontinual.training.data import Rows, SpanSource, TrainingSet, prepare
from kontinual.training.revision import code_version
from kontinual.training.train import fit, positive_scores, train
from kontinual.training.trainers import (
    BUILT_IN,
    BaseTrainer,
    Estimator,
    Parameters,
    check_trainer,
    check_trainers,
    complete,
    trainer,
)

__all__ = [
    "BUILT_IN",
    "BaseTrainer",
    "Estimator",
    "Parameters",
    "Rows",
    "SpanSource",
    "TrainingSet",
    "check_trainer",
    "check_trainers",
    "code_version",
    "complete",
    "fit",
    "positive_scores",
    "prepare",
    "train",
    "trainer",
]
