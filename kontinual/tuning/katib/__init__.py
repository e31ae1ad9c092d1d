"""Katib as the searcher: the loop's space as an Experiment, its trials as Jobs on a cluster."""

from kontinual.tuning.katib.api import KatibApi
from kontinual.tuning.katib.experiment import experiment, experiment_name, plan_first, plan_search
from kontinual.tuning.katib.harvest import NamedTrialStore
from kontinual.tuning.katib.job import Task
from kontinual.tuning.katib.search import Clock, tune_on_katib

__all__ = [
    "Clock",
    "KatibApi",
    "NamedTrialStore",
    "Task",
    "experiment",
    "experiment_name",
    "plan_first",
    "plan_search",
    "tune_on_katib",
]
