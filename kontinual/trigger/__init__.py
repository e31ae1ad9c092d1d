"""From alerts to runs: recorded, judged, launched once, and followed to their outcome."""

from kontinual.trigger.audit import Audit
from kontinual.trigger.client import TriggerClient
from kontinual.trigger.contracts import (
    Answer,
    Ask,
    Decision,
    Evidence,
    PolicyState,
    Receipt,
    Resolution,
    Run,
    RunState,
    Source,
    Trigger,
)
from kontinual.trigger.evidence import EvidenceSource, MetricSource, PrometheusSource, Sample
from kontinual.trigger.launcher import Launcher, LocalLauncher
from kontinual.trigger.ledger import Ledger
from kontinual.trigger.policy import Policy
from kontinual.trigger.worker import Worker

__all__ = [
    "Answer",
    "Ask",
    "Audit",
    "Decision",
    "Evidence",
    "EvidenceSource",
    "Launcher",
    "Ledger",
    "LocalLauncher",
    "MetricSource",
    "Policy",
    "PolicyState",
    "PrometheusSource",
    "Receipt",
    "Resolution",
    "Run",
    "RunState",
    "Sample",
    "Source",
    "Trigger",
    "TriggerClient",
    "Worker",
]
