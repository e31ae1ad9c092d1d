"""What each step asks of its node, and what it may use at most: the one place to change that.

The defaults are for spans of a few million rows; `make compile` writes them into the pipeline.
Katib's trials are pods of their own, whose resources stand in the declaration.
"""

from dataclasses import dataclass

from kfp import dsl

__all__ = ["STEPS", "Resources", "bounded"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Of one step's container, as Kubernetes writes quantities."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str


# Asks and waits: of the trigger, of Prometheus, of the gateway.
_WATCHES = Resources(cpu="100m", memory="384Mi", cpu_limit="1", memory_limit="1Gi")
# Streams rows, or holds a span and the replay as float32 beside its libraries.
_COMPUTES = Resources(cpu="500m", memory="1Gi", cpu_limit="4", memory_limit="4Gi")

STEPS = {
    "admit": _WATCHES,
    "ingest": _COMPUTES,
    "validate": _COMPUTES,
    "tune": _COMPUTES,  # it only watches where Katib searches, but searches itself with Optuna
    "train": _COMPUTES,
    "evaluate": _COMPUTES,
    "rollout": _WATCHES,
    "record": _WATCHES,
}


def bounded(task: dsl.PipelineTask, resources: Resources) -> dsl.PipelineTask:
    """The task with requests and limits, so that quotas of a namespace can be kept."""
    task.set_cpu_request(resources.cpu).set_memory_request(resources.memory)
    return task.set_cpu_limit(resources.cpu_limit).set_memory_limit(resources.memory_limit)
