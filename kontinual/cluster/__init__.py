"""The Kubernetes API, for the stations that have a part on a cluster."""

from kontinual.cluster.client import api_client, cluster_errors, namespace
from kontinual.cluster.lease import Lease, LeaseBusy, LeaseLost
from kontinual.cluster.patience import is_passing, patiently

__all__ = [
    "Lease",
    "LeaseBusy",
    "LeaseLost",
    "api_client",
    "cluster_errors",
    "is_passing",
    "namespace",
    "patiently",
]
