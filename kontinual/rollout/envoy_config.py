"""What Envoy reads: a bootstrap, and beside it the clusters and routes it re-reads when they move.

Only the two xDS files change while Envoy runs. It notices a file that is moved
over the old one, so write them with `write_moved` and never in place.
"""

import ipaddress
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

BOOTSTRAP_FILE = "envoy.json"
CLUSTERS_FILE = "clusters.json"
ROUTES_FILE = "routes.json"
ROUTE_CONFIG = "predictors"
STAT_PREFIX = "gateway"  # also of the gateway's own counters, as in envoy_http_downstream_rq_total
REQUEST_TIMEOUT = "30s"
# What is asked here. Of the rest much can be done by anybody who reaches the port, such as a page
# in somebody's browser: end Envoy, close its listener, let it fail its health checks.
ADMIN_PATHS = r"/(ready|stats|stats/prometheus|config_dump)(\?.*)?"
_CLUSTER_PREFIX = "predictor-"
_TYPES = "type.googleapis.com/envoy.config"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


def cluster_name(version: str) -> str:
    """Envoy's name for the predictor of a version; also its label in Envoy's metrics."""
    return f"{_CLUSTER_PREFIX}{version}"


def version_of(cluster: str) -> str:
    """The version whose predictor an Envoy cluster is."""
    return cluster.removeprefix(_CLUSTER_PREFIX)


def render_bootstrap(admin_port: int, listen_port: int, host: str, folder: Path) -> str:
    """The file Envoy starts from.

    Args:
        admin_port: of Envoy's admin pages, of which `ADMIN_PATHS` answer.
        listen_port: where clients send their requests.
        host: address both listen on.
        folder: where the clusters and routes files are.
    """
    listener = {
        "name": STAT_PREFIX,
        "address": _address(host, listen_port),
        "filter_chains": [{"filters": [_connection_manager(folder / ROUTES_FILE)]}],
    }
    return _dump(
        {
            "node": {"id": "kontinual", "cluster": "kontinual"},
            "admin": {
                "address": _address(host, admin_port),
                "allow_paths": [{"safe_regex": {"regex": ADMIN_PATHS}}],
            },
            "dynamic_resources": {"cds_config": _file_source(folder / CLUSTERS_FILE)},
            "static_resources": {"listeners": [listener]},
        }
    )


def render_clusters(backends: Mapping[str, tuple[str, int]], *, update: str = "0") -> str:
    """The clusters file: one cluster for each version.

    Args:
        backends: host and port of each version's predictor.
        update: text by which Envoy says that it took exactly this file.
    """
    return _discovery([_cluster(v, *backends[v]) for v in sorted(backends)], update)


def render_routes(weights: Mapping[str, int], *, update: str = "0") -> str:
    """The routes file: every request to one of the versions, by weight.

    Args:
        weights: percent of each version, of sum 100; empty answers every request with 503.
        update: text by which Envoy says that it took exactly this file.
    """
    host = {"name": "all", "domains": ["*"], "routes": [_route(weights)]}
    return _discovery(
        [
            {
                "@type": f"{_TYPES}.route.v3.RouteConfiguration",
                "name": ROUTE_CONFIG,
                "virtual_hosts": [host],
            }
        ],
        update,
    )


def write_moved(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, as Envoy wants it and readers need it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def prepare_envoy(*, admin_port: int, listen_port: int, host: str, folder: Path) -> Path:
    """Write what Envoy needs to start, and return the bootstrap's path.

    Clusters and routes that are there already stay: they hold the weights of before.
    """
    folder = folder.resolve()
    for name, text in (
        (CLUSTERS_FILE, render_clusters({})),
        (ROUTES_FILE, render_routes({})),
    ):
        if not (folder / name).exists():
            write_moved(folder / name, text)
    write_moved(folder / BOOTSTRAP_FILE, render_bootstrap(admin_port, listen_port, host, folder))
    return folder / BOOTSTRAP_FILE


def envoy_arguments(bootstrap: Path, *, concurrency: int = 1) -> list[str]:
    """Envoy's command line, after the program's name."""
    return [
        "--config-path",
        str(bootstrap),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",  # several Envoys on one machine would share its memory segment
        "--log-level",
        "warning",
    ]


def _connection_manager(routes: Path) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": STAT_PREFIX,
            "generate_request_id": True,
            "preserve_external_request_id": True,
            "always_set_request_id_in_response": True,
            "rds": {"route_config_name": ROUTE_CONFIG, "config_source": _file_source(routes)},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
                }
            ],
        },
    }


def _cluster(version: str, host: str, port: int) -> dict[str, Any]:
    name = cluster_name(version)
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "@type": f"{_TYPES}.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _route(weights: Mapping[str, int]) -> dict[str, Any]:
    match = {"prefix": "/"}
    if not weights:
        body = {"inline_string": '{"error": "no model version is deployed"}'}
        return {"match": match, "direct_response": {"status": 503, "body": body}}
    clusters = [{"name": cluster_name(v), "weight": weights[v]} for v in sorted(weights)]
    return {
        "match": match,
        "route": {
            "weighted_clusters": {"clusters": clusters},
            "timeout": REQUEST_TIMEOUT,
            # Safe for any request: a refused connection never saw it.
            "retry_policy": {"retry_on": "connect-failure", "num_retries": 2},
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _file_source(path: Path) -> dict[str, Any]:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def _discovery(resources: list[dict[str, Any]], update: str) -> str:
    return _dump({"version_info": update, "resources": resources})


def _dump(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=2) + "\n"
