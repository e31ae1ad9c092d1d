"""The trainers: one file per algorithm, found by name."""

from kontinual.training.trainers.base import BaseTrainer, Estimator, Parameters
from kontinual.training.trainers.registry import (
    BUILT_IN,
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
    "check_trainer",
    "check_trainers",
    "complete",
    "trainer",
]
