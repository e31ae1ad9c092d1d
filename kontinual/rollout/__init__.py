"""Shifting traffic to a challenger step by step, as far as the figures allow."""

from kontinual.rollout.analysis import Check, Judgement, Verdict, judge
from kontinual.rollout.counts import Comparison, CounterWatch, Counts, Tally
from kontinual.rollout.engine import Engine, RolloutResult
from kontinual.rollout.envoy import EnvoyGateway
from kontinual.rollout.gateway import (
    Gateway,
    Metrics,
    Outcomes,
    Predictors,
    Registry,
    check_weights,
)
from kontinual.rollout.open import open_rollout, open_store
from kontinual.rollout.outcomes import CollectorOutcomes
from kontinual.rollout.plan import Plan
from kontinual.rollout.prometheus import PrometheusMetrics
from kontinual.rollout.run import abort, resume, rollout, utc_now
from kontinual.rollout.state import FolderStore, Phase, RolloutBusy, RolloutState, RolloutStore

__all__ = [
    "Check",
    "CollectorOutcomes",
    "Comparison",
    "CounterWatch",
    "Counts",
    "Engine",
    "EnvoyGateway",
    "FolderStore",
    "Gateway",
    "Judgement",
    "Metrics",
    "Outcomes",
    "Phase",
    "Plan",
    "Predictors",
    "PrometheusMetrics",
    "Registry",
    "RolloutBusy",
    "RolloutResult",
    "RolloutState",
    "RolloutStore",
    "Tally",
    "Verdict",
    "abort",
    "check_weights",
    "judge",
    "open_rollout",
    "open_store",
    "resume",
    "rollout",
    "utc_now",
]
