"""Katib 0.19 without Katib: its webhook, samplers and controllers, acting through an API server.

What it keeps to was read in Katib's source (pkg/webhook, pkg/controller.v1beta1,
pkg/suggestion, pkg/metricscollector): which Experiments are refused, conditions and
their order, counts and lists of trials, strings for every number, names, labels and
owners, one Job per Trial made by replacing text in its template, a command joined
for `sh -c`, metrics found in the output by Katib's pattern, Jobs removed from
Trials that ended, `maxFailedTrialCount`, goal and early stopping.

What is otherwise: metrics are read from the pod's log when its Job ends, where
Katib has a sidecar in the pod; samplers are objects in this process, not pods.
"""

from tests.cluster.imitation.katib.controller import KatibController
from tests.cluster.imitation.katib.crds import crds
from tests.cluster.imitation.katib.webhook import admit, invalid

__all__ = ["KatibController", "admit", "crds", "invalid"]
