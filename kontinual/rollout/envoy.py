"""Envoy as the gateway: weights change by route files that are moved into place.

What is in force is asked of Envoy's admin pages and never read from the files.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from kontinual.errors import GatewayError, ServiceError
from kontinual.rollout.envoy_config import (
    CLUSTERS_FILE,
    ROUTES_FILE,
    cluster_name,
    render_clusters,
    render_routes,
    version_of,
    write_moved,
)
from kontinual.rollout.gateway import Predictors, check_weights
from kontinual.settings import Settings

__all__ = ["EnvoyGateway"]

IN_FORCE_SECONDS = 10.0
DRAIN_SECONDS = 5.0
POLL_SECONDS = 0.05
_CLUSTERS, _ROUTES = "cluster_manager.cds", "http.gateway.rds.predictors"


class EnvoyGateway:
    """Splits traffic among predictors on this machine. See `Gateway` for the promises."""

    def __init__(
        self,
        *,
        folder: Path,
        admin: str,
        predictors: Predictors,
        host: str = "127.0.0.1",
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take hold of an Envoy that was started on a folder's bootstrap.

        Args:
            folder: where it reads its clusters and routes.
            admin: URL of its admin pages.
            predictors: starts and stops what it sends traffic to.
            host: address the predictors listen on.
            client: asks the admin pages.
            sleep: waits between two questions.
        """
        self._folder = folder
        self._admin = admin.rstrip("/")
        self._predictors = predictors
        self._host = host
        # An environment's proxy knows nothing of this machine's admin page; and without
        # connections that are kept there is nothing to close.
        self._client = client or httpx.Client(
            timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._sleep = sleep

    @classmethod
    def of(cls, settings: Settings, predictors: Predictors) -> "EnvoyGateway":
        """The laptop stack's gateway."""
        return cls(
            folder=settings.home.resolve() / "envoy",
            admin=settings.gateway_admin,
            predictors=predictors,
            host=settings.host,
        )

    def deploy(self, version: str, package: Path) -> None:
        """Start a predictor, without traffic, and make it known to Envoy."""
        try:
            port = self._predictors.start(version, package)
        except ServiceError as exc:
            raise GatewayError(f"version {version} can not be deployed: {exc}") from exc
        self._set_clusters({**self._predictors.running(), version: port})

    def shift(self, weights: dict[str, int]) -> None:
        """Move the route file and wait until Envoy goes by it."""
        known = self._clusters()
        check_weights(weights, list(known))
        update = _new_update()
        routes = render_routes({v: w for v, w in weights.items() if w}, update=update)
        self._put(ROUTES_FILE, routes, stat=_ROUTES, update=update)

    def retire(self, version: str) -> None:
        """Let a predictor answer its last requests, forget it, and stop it."""
        weight = self.weights().get(version, 0)
        if weight:
            raise GatewayError(
                f"version {version} still has {weight} % of the traffic; "
                "shift it to another version before retiring it"
            )
        running = self._predictors.running()
        known = self._clusters()
        if version in known:
            self._drain(version)
            rest = {v: port for v, port in {**known, **running}.items() if v != version}
            self._set_clusters({v: p for v, p in rest.items() if v in running})
        try:
            self._predictors.stop(version)
        except ServiceError as exc:
            raise GatewayError(f"version {version} does not stop: {exc}") from exc

    def weights(self) -> dict[str, int]:
        """The routes that Envoy goes by now."""
        dump = self._get("/config_dump", resource="dynamic_route_configs")
        try:
            (route,) = [
                route
                for config in dump.get("configs", [])
                for host in config["route_config"]["virtual_hosts"]
                for route in host["routes"]
            ]
            if "direct_response" in route:
                return {}
            clusters = route["route"]["weighted_clusters"]["clusters"]
            return {version_of(c["name"]): c["weight"] for c in clusters if c.get("weight")}
        except (KeyError, ValueError) as exc:
            raise GatewayError(
                f"{self._admin}: Envoy's routes are not ones this gateway wrote: {dump}"
            ) from exc

    def _clusters(self) -> dict[str, int]:
        """The port of each version that Envoy knows."""
        dump = self._get("/config_dump", resource="dynamic_active_clusters")
        found: dict[str, int] = {}
        for config in dump.get("configs", []):
            cluster = config["cluster"]
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            port = endpoint["address"]["socket_address"]["port_value"]
            found[version_of(cluster["name"])] = int(port)
        return found

    def _set_clusters(self, ports: Mapping[str, int]) -> None:
        if self._clusters() == dict(ports):
            return
        update = _new_update()
        backends = {version: (self._host, port) for version, port in ports.items()}
        text = render_clusters(backends, update=update)
        self._put(CLUSTERS_FILE, text, stat=_CLUSTERS, update=update)

    def _put(self, name: str, text: str, *, stat: str, update: str) -> None:
        """Move a file into place and wait until Envoy says that it took exactly this one."""
        refused = _refusals(self._stats(stat), stat)
        write_moved(self._folder / name, text)
        stats: dict[str, Any] = {}
        for _ in range(round(IN_FORCE_SECONDS / POLL_SECONDS)):
            stats = self._stats(stat)
            if stats.get(f"{stat}.version_text") == update:
                return
            if _refusals(stats, stat) > refused:
                raise GatewayError(f"{self._folder / name}: Envoy refused it; its log says why")
            self._sleep(POLL_SECONDS)
        raise GatewayError(
            f"{self._folder / name}: not in force after {IN_FORCE_SECONDS:.0f} s; "
            f"is {self._admin} the Envoy that reads this folder? It goes by "
            f"{stats.get(f'{stat}.version_text')!r} instead of {update!r}"
        )

    def _drain(self, version: str) -> None:
        """Wait for requests that are being answered; after a while they have had their chance."""
        active = f"cluster.{cluster_name(version)}.upstream_rq_active"
        for _ in range(round(DRAIN_SECONDS / POLL_SECONDS)):
            if not self._stats(active).get(active, 0):
                return
            self._sleep(POLL_SECONDS)

    def _stats(self, prefix: str) -> dict[str, Any]:
        pattern = "^" + prefix.replace(".", r"\.")
        answer = self._get("/stats", format="json", filter=pattern)
        return {s["name"]: s["value"] for s in answer.get("stats", []) if "name" in s}

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        retrying = Retrying(
            retry=retry_if_exception_type(httpx.TransportError),
            stop=stop_after_attempt(4),
            wait=wait_fixed(0.25),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer = retrying(self._client.get, f"{self._admin}{path}", params=params)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise GatewayError(
                f"{self._admin}{path}: Envoy can not be asked: {exc}; is the stack up?"
            ) from exc
        return found


def _refusals(stats: Mapping[str, Any], stat: str) -> int:
    """Files that Envoy could not read, and those it could but would not have."""
    return sum(int(stats.get(f"{stat}.update_{how}", 0)) for how in ("failure", "rejected"))


def _new_update() -> str:
    return uuid.uuid4().hex
