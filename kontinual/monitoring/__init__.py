"""What watches a loop, rendered from its declaration: pure functions from a Loop to YAML."""

from kontinual.monitoring.configs import render_alertmanager, render_prometheus
from kontinual.monitoring.dashboard import dashboard
from kontinual.monitoring.kubeflow import Cluster, render_kubeflow
from kontinual.monitoring.quantities import RecordingRule, recording_rules
from kontinual.monitoring.rules import SERVICES, alerting_rules, render_rules, rule_groups
from kontinual.monitoring.suite import render_rules_test
from kontinual.monitoring.timing import Timing

__all__ = [
    "SERVICES",
    "Cluster",
    "RecordingRule",
    "Timing",
    "alerting_rules",
    "dashboard",
    "recording_rules",
    "render_alertmanager",
    "render_kubeflow",
    "render_prometheus",
    "render_rules",
    "render_rules_test",
    "rule_groups",
]
