"""The laptop stack: what a cluster provides, as processes on one machine."""

from kontinual.local.ports import free_port
from kontinual.local.predictors import SupervisedPredictors
from kontinual.local.stack import ServiceStatus, Stack
from kontinual.local.supervisor import ProcessState, Supervisor
from kontinual.local.tools import find_tool

__all__ = [
    "ProcessState",
    "ServiceStatus",
    "Stack",
    "SupervisedPredictors",
    "Supervisor",
    "find_tool",
    "free_port",
]
