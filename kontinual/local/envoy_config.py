"""Envoy's files, for the stack: the same code by which the gateway moves them."""

from kontinual.rollout.envoy_config import (
    BOOTSTRAP_FILE,
    CLUSTERS_FILE,
    ROUTES_FILE,
    cluster_name,
    envoy_arguments,
    prepare_envoy,
    render_bootstrap,
    render_clusters,
    render_routes,
    version_of,
    write_moved,
)

__all__ = [
    "BOOTSTRAP_FILE",
    "CLUSTERS_FILE",
    "ROUTES_FILE",
    "cluster_name",
    "envoy_arguments",
    "prepare_envoy",
    "render_bootstrap",
    "render_clusters",
    "render_routes",
    "version_of",
    "write_moved",
]
