"""From alerts to runs: recorded, judged, launched once, and followed to their outcome."""

from kontinual.trigger.archive import Archived, archive
from kontinual.trigger.audit import Audit
from kontinual.trigger.auth import Credential, Doorkeeper, Identity, Scope
from kontinual.trigger.client import TriggerClient
from kontinual.trigger.contracts import (
    Act,
    Answer,
    Ask,
    Decision,
    Evidence,
    LedgerDown,
    Message,
    NotNow,
    NotThere,
    PolicyState,
    Query,
    Receipt,
    Resolution,
    Run,
    RunKind,
    RunState,
    Source,
    Trigger,
    Wish,
)
from kontinual.trigger.control import Control
from kontinual.trigger.database import migrate
from kontinual.trigger.evidence import EvidenceSource, MetricSource, PrometheusSource, Sample
from kontinual.trigger.launcher import Launcher, LauncherByKind, LocalLauncher
from kontinual.trigger.ledger import Ledger
from kontinual.trigger.policy import Policy
from kontinual.trigger.service import TriggerService
from kontinual.trigger.worker import Worker

__all__ = [
    "Act",
    "Answer",
    "Archived",
    "Ask",
    "Audit",
    "Control",
    "Credential",
    "Decision",
    "Doorkeeper",
    "Evidence",
    "EvidenceSource",
    "Identity",
    "Launcher",
    "LauncherByKind",
    "Ledger",
    "LedgerDown",
    "LocalLauncher",
    "Message",
    "MetricSource",
    "NotNow",
    "NotThere",
    "Policy",
    "PolicyState",
    "PrometheusSource",
    "Query",
    "Receipt",
    "Resolution",
    "Run",
    "RunKind",
    "RunState",
    "Sample",
    "Scope",
    "Source",
    "Trigger",
    "TriggerClient",
    "TriggerService",
    "Wish",
    "Worker",
    "archive",
    "migrate",
]
