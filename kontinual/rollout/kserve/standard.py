"""Standard mode: a canary is an entry of `spec.canary`, the Gateway API splits the traffic.

What is in force is read from the HTTPRoutes, never from the spec. The stable version
keeps its Deployment until the canary, at 100 %, takes its place in the spec: then the
canary's own Deployment goes on under the same name, and no pod is started anew.
"""

import math
from typing import Any

from kontinual.errors import GatewayError
from kontinual.rollout.kserve.api import Json, KServeApi
from kontinual.rollout.kserve.manifest import SCALING, next_predictor, version_of
from kontinual.rollout.kserve.readiness import is_true, load_failure, pod_trouble

__all__ = ["StandardMode"]


class StandardMode:
    """A `Mode`; needs KServe 0.21 with the Gateway API, and no transformer."""

    def __init__(self, api: KServeApi) -> None:
        self._api = api

    def versions(self, found: Json) -> set[str]:
        return {version_of(p) for p in _predictors(found)}

    def add(self, version: str, storage_uri: str) -> None:
        def edit(found: Json) -> None:
            self._refuse_transformer(found)
            if version in self.versions(found):
                return
            stable = found["spec"]["predictor"]
            canary = {**next_predictor(stable, version, storage_uri), "name": f"v{version}"}
            entry = {"trafficPercent": 0, "predictor": {**canary, "minReplicas": 1}}
            found["spec"]["canary"] = [*_canaries(found), entry]

        if version not in self.versions(self._api.change(edit)):
            raise GatewayError(
                f"{self._api.title}: the cluster dropped spec.canary; canaries in Standard mode "
                "need KServe 0.21 or later. Update KServe, or use its Knative mode"
            )

    def missing(self, found: Json, version: str) -> str | None:
        lacking = self._unready(found, version)
        if lacking is None:
            return None
        trouble, crashed = pod_trouble(self._api.pods(version))
        if crashed:
            raise GatewayError(f"version {version} can not be loaded: {trouble}")
        return f"{lacking}; {trouble}" if trouble else lacking

    def unrouted(self, found: Json, version: str) -> str | None:
        self._refuse_transformer(found)
        return self._unlisted(found, version)

    def _unlisted(self, found: Json, version: str) -> str | None:
        """A ready canary stands in the routes, at 0; KServe 0.20 made it and never sent traffic."""
        backends = {b["name"] for b in _backends(self._route(self._api.name))}
        predictor = next(p for p in _predictors(found) if version_of(p) == version)
        if _service(found, predictor) in backends:
            return None
        return (
            f"the HTTPRoute {self._api.namespace}/{self._api.name} does not know version "
            f"{version} (KServe splits traffic in Standard mode from 0.21 on)"
        )

    def shift(self, weights: dict[str, int]) -> None:
        def edit(found: Json) -> None:
            stable_replicas = int(found["spec"]["predictor"].get("minReplicas", 1))
            for entry in _canaries(found):
                percent = weights.get(version_of(entry["predictor"]), 0)
                entry["trafficPercent"] = percent
                replicas = max(1, math.ceil(stable_replicas * percent / 100))
                entry["predictor"]["minReplicas"] = replicas

        self._api.change(edit)

    def weights(self, found: Json) -> dict[str, int]:
        served = {_service(found, p): version_of(p) for p in _predictors(found)}
        # Clients come by the first, other services of the cluster may come by the second.
        both = [
            self._split(self._route(name), served)
            for name in (self._api.name, f"{self._api.name}-predictor")
        ]
        if both[0] != both[1]:
            raise GatewayError(
                f"the HTTPRoutes of {self._api.title} do not agree: {both[0]}, {both[1]}"
            )
        return both[0]

    def remove(self, version: str) -> None:
        def edit(found: Json) -> None:
            spec = found["spec"]
            if version_of(spec["predictor"]) == version:
                self._promote(found)
            rest = [e for e in _canaries(found) if version_of(e["predictor"]) != version]
            spec["canary"] = rest
            if not rest:
                spec.pop("canary")

        self._api.change(edit)

    def unsettled(self, found: Json) -> str | None:
        stable = version_of(found["spec"]["predictor"])
        statuses = (found.get("status") or {}).get("canaryStatuses") or []
        left = {s["name"] for s in statuses} - {e["predictor"]["name"] for e in _canaries(found)}
        if left:
            return f"canaries {sorted(left)} are being removed"
        return self._unready(found, stable) or self._unlisted(found, stable)

    def _promote(self, found: Json) -> None:
        spec = found["spec"]
        heirs = [e for e in _canaries(found) if e["trafficPercent"] == 100]
        if not heirs:
            raise GatewayError(
                f"version {version_of(spec['predictor'])} is the stable one, and no canary has "
                "100 % of the traffic to take its place"
            )
        # How many pods is the stable predictor's business, what runs in them the canary's.
        heir = {k: v for k, v in heirs[0]["predictor"].items() if k not in SCALING}
        kept = {k: v for k, v in spec["predictor"].items() if k in SCALING}
        spec["predictor"] = {**heir, **kept}
        spec["canary"] = [e for e in _canaries(found) if e is not heirs[0]]

    def _unready(self, found: Json, version: str) -> str | None:
        stable = found["spec"]["predictor"]
        status = found.get("status") or {}
        if version_of(stable) == version:
            failure, ready = load_failure(status.get("modelStatus")), is_true(found, "Ready")
        else:
            entry = self._canary_status(found, version)
            failure, ready = load_failure(entry.get("modelStatus")), entry.get("ready") is True
        if ready:
            return None
        if failure:
            raise GatewayError(f"version {version} can not be loaded: {failure}")
        return f"the predictor of version {version} is not ready"

    def _canary_status(self, found: Json, version: str) -> Json:
        name = next((e["predictor"].get("name") for e in _canaries(found) if _is(e, version)), None)
        statuses: list[Json] = (found.get("status") or {}).get("canaryStatuses") or []
        return next((s for s in statuses if s["name"] == name), {})

    def _refuse_transformer(self, found: Json) -> None:
        if found["spec"].get("transformer"):
            raise GatewayError(
                f"{self._api.title} has a transformer: KServe's canaries in Standard mode would "
                "go past it. Remove it, or use KServe's Knative mode"
            )

    def _route(self, name: str) -> Json:
        route = self._api.route(name)
        if route is None:
            raise GatewayError(
                f"{self._api.title} has no HTTPRoute {name}: traffic can not be split. In Standard "
                "mode KServe has to use the Gateway API (enableGatewayApi: true in the ConfigMap "
                "inferenceservice-config), and the service must not be cluster-local"
            )
        return route

    def _split(self, route: Json, served: dict[str, str]) -> dict[str, int]:
        """Percents by version, if every rule has the same and the gateway goes by them."""
        name = route["metadata"]["name"]
        _refuse_stale(route)
        rules = [_percents(rule) for rule in route["spec"]["rules"] if rule.get("backendRefs")]
        if not rules or any(rule != rules[0] for rule in rules):
            raise GatewayError(f"HTTPRoute {name}: its rules split traffic differently: {rules}")
        unknown = sorted(rules[0].keys() - served.keys())
        if unknown:
            raise GatewayError(f"HTTPRoute {name} sends traffic to {unknown}, no version's service")
        return {served[service]: percent for service, percent in rules[0].items()}


def _canaries(found: Json) -> list[Json]:
    return list(found["spec"].get("canary") or [])


def _predictors(found: Json) -> list[Json]:
    return [found["spec"]["predictor"], *(e["predictor"] for e in _canaries(found))]


def _is(entry: Json, version: str) -> bool:
    return version_of(entry["predictor"]) == version


def _service(found: Json, predictor: Json) -> str:
    """KServe's name for the Service of a predictor."""
    parts = [found["metadata"]["name"], predictor.get("name") or "", "predictor"]
    return "-".join(part for part in parts if part)


def _backends(route: Json) -> list[Json]:
    return [b for rule in route["spec"]["rules"] for b in rule.get("backendRefs") or []]


def _percents(rule: Json) -> dict[str, int]:
    shares = {b["name"]: int(b.get("weight", 1)) for b in rule["backendRefs"]}
    total = sum(shares.values())
    return {name: round(100 * share / total) for name, share in shares.items() if share}


def _refuse_stale(route: Json) -> None:
    """A route that its gateway has not accepted as it stands is not in force."""
    parents: list[dict[str, Any]] = (route.get("status") or {}).get("parents") or []
    generation = route["metadata"]["generation"]
    for parent in parents:
        for each in parent.get("conditions") or []:
            seen = each.get("observedGeneration", generation)
            if each["type"] == "Accepted" and (each["status"] != "True" or seen < generation):
                raise GatewayError(
                    f"HTTPRoute {route['metadata']['name']} is not in force: "
                    f"{each.get('message') or each.get('reason') or 'its gateway is behind'}"
                )
    if not parents:
        raise GatewayError(f"HTTPRoute {route['metadata']['name']} is not in force: no gateway")
