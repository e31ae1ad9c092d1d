"""KServe as the gateway: one InferenceService per loop, in the mode that its status tells."""

import time
from collections.abc import Callable
from pathlib import Path

from kontinual.errors import GatewayError
from kontinual.rollout.gateway import check_weights
from kontinual.rollout.kserve.api import Json, KServeApi
from kontinual.rollout.kserve.knative import KnativeMode
from kontinual.rollout.kserve.manifest import check_version, inference_service, version_of
from kontinual.rollout.kserve.mode import Mode
from kontinual.rollout.kserve.packages import PackagePlace
from kontinual.rollout.kserve.readiness import is_true, wait_until
from kontinual.rollout.kserve.standard import StandardMode
from kontinual.spec import Loop

__all__ = ["KServeGateway"]

IN_FORCE_SECONDS = 180.0
# The names before 0.16 are still said by services that were made then.
_MODES: dict[str, type[StandardMode] | type[KnativeMode]] = {
    "Standard": StandardMode,
    "RawDeployment": StandardMode,
    "Knative": KnativeMode,
    "Serverless": KnativeMode,
}
_STOP = "serving.kserve.io/stop"


class KServeGateway:
    """Splits traffic among the versions of one InferenceService. See `Gateway` for the promises.

    It differs from them in one: the first version has all the traffic as soon as it is ready.
    """

    def __init__(
        self,
        loop: Loop,
        api: KServeApi,
        packages: PackagePlace,
        *,
        collector: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take hold of a loop's InferenceService; it need not exist yet.

        Args:
            loop: the declaration.
            api: its objects in the cluster.
            packages: where KServe fetches model packages.
            collector: base URL that gets the predictors' log of requests; none: no log.
            clock: seconds that only rise.
            sleep: waits between two looks.
        """
        self._loop, self._api, self._packages = loop, api, packages
        self._collector, self._clock, self._sleep = collector, clock, sleep

    def deploy(self, version: str, package: Path) -> None:
        """Start a version and wait until it is ready; a canary gets no traffic, the first all."""
        check_version(version)
        found = self._api.find()
        if found is None:
            uri = self._packages.put(version, package)
            wanted = inference_service(self._loop, version, uri, collector=self._collector)
            self._api.create(wanted)
        else:
            self._refuse_stopped(found)
            mode = self._mode(found)
            if version not in mode.versions(found):
                mode.add(version, self._packages.put(version, package))
        self._wait(
            lambda found: self._mode(found).missing(found, version),
            f"version {version} is not deployed",
            self._loop.serving.ready_timeout.total_seconds(),
        )
        self._wait(
            lambda found: self._mode(found).unrouted(found, version),
            f"version {version} can not be given traffic",
            IN_FORCE_SECONDS,
        )

    def shift(self, weights: dict[str, int]) -> None:
        """Change the weights and wait until the cluster's routes go by them."""
        found = self._api.find()
        if found is None:
            check_weights(weights, [])
            return
        wanted = {version: weight for version, weight in weights.items() if weight}
        if weights:
            self._refuse_stopped(found)
            mode = self._mode(found)
            check_weights(weights, sorted(mode.versions(found)))
            mode.shift(wanted)
        else:
            self._api.change(_stop)
        self._wait(
            lambda found: self._not_in_force(found, wanted),
            f"the weights {wanted} are not in force",
            IN_FORCE_SECONDS,
        )

    def retire(self, version: str) -> None:
        """Stop a version without traffic. Where it was the stable one, the canary becomes it."""
        found = self._api.find()
        if found is None:
            return
        if _stopped(found):
            # All traffic was refused before; whoever is left is the last one.
            if version_of(found["spec"]["predictor"]) == version:
                self._api.delete(found)
            return
        weight = self.weights().get(version, 0)
        if weight:
            raise GatewayError(
                f"version {version} still has {weight} % of the traffic; "
                "shift it to another version before retiring it"
            )
        self._mode(found).remove(version)
        self._wait(
            lambda found: self._mode(found).unsettled(found),
            f"version {version} is not retired",
            self._loop.serving.ready_timeout.total_seconds(),
        )

    def weights(self) -> dict[str, int]:
        """What the cluster's routes go by; routes that are just being written are waited for."""
        known: dict[str, int] = {}

        def unknown() -> str | None:
            nonlocal known
            found = self._api.find()
            try:
                known = self._weights(found) if found else {}
            except GatewayError as exc:
                return str(exc)
            return None

        self._until(unknown, "the weights in force can not be known", IN_FORCE_SECONDS)
        return known

    def _weights(self, found: Json) -> dict[str, int]:
        return {} if _stopped(found) else self._mode(found).weights(found)

    def _not_in_force(self, found: Json, wanted: dict[str, int]) -> str | None:
        """Weights that can not be known just now, as while a route is written, are not in force."""
        try:
            now = self._weights(found)
        except GatewayError as exc:
            return str(exc)
        if now == wanted and (wanted or is_true(found, "Stopped") or _never_ready(found)):
            return None
        lacking = [self._mode(found).missing(found, version) for version in sorted(wanted)]
        return "; ".join([f"the cluster goes by {now}", *filter(None, lacking)])

    def _mode(self, found: Json) -> Mode:
        name = (found.get("status") or {}).get("deploymentMode", "")
        if not name:
            self._wait(
                lambda found: None if _deployment_mode(found) else "it has no status",
                "KServe has not taken up the InferenceService (is its controller at work?)",
                IN_FORCE_SECONDS,
            )
            name = _deployment_mode(self._api.require())
        if name not in _MODES:
            raise GatewayError(
                f"{self._api.title} runs in KServe's mode {name}, which has no canaries; "
                "annotate it serving.kserve.io/deploymentMode: Standard, or Knative"
            )
        return _MODES[name](self._api)

    def _wait(self, missing: Callable[[Json], str | None], what: str, seconds: float) -> None:
        self._until(lambda: missing(self._api.require()), what, seconds)

    def _until(self, missing: Callable[[], str | None], what: str, seconds: float) -> None:
        wait_until(missing, what=what, seconds=seconds, clock=self._clock, sleep=self._sleep)

    def _refuse_stopped(self, found: Json) -> None:
        if _stopped(found):
            raise GatewayError(
                f"{self._api.title} is stopped by its annotation {_STOP}; "
                "take that away before a rollout begins"
            )


def _deployment_mode(found: Json) -> str:
    return str((found.get("status") or {}).get("deploymentMode", ""))


def _never_ready(found: Json) -> bool:
    components = (found.get("status") or {}).get("components") or {}
    predictor = components.get("predictor") or {}
    return not predictor.get("url") and not predictor.get("latestReadyRevision")


def _stop(found: Json) -> None:
    found["metadata"].setdefault("annotations", {})[_STOP] = "true"


def _stopped(found: Json) -> bool:
    annotations = found["metadata"].get("annotations") or {}
    return str(annotations.get(_STOP, "")).lower() == "true"
