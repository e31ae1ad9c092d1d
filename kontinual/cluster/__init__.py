"""The Kubernetes API, for the stations that have a part on a cluster."""

from kontinual.cluster.client import api_client, cluster_errors, namespace

__all__ = ["api_client", "cluster_errors", "namespace"]
