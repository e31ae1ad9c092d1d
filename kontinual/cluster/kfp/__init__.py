"""Kubeflow Pipelines: what is asked of its API, in our own words."""

from kontinual.cluster.kfp.connection import Connection
from kontinual.cluster.kfp.pipelines import Pipelines, Version
from kontinual.cluster.kfp.recurring import Recurrence, Recurring, RecurringRuns
from kontinual.cluster.kfp.runs import KfpRun, Runs

__all__ = [
    "Connection",
    "KfpRun",
    "Pipelines",
    "Recurrence",
    "Recurring",
    "RecurringRuns",
    "Runs",
    "Version",
]
