"""Knative mode: the spec's predictor is the canary, the last rolled-out Revision the stable one.

```
alone ──add──► canary (percent 0 … 100) ──promote──► alone
  ▲                │ roll back: the replaced predictor is put back, still at percent 0
  └── when its Revision is ready ── returning
```

A Revision says by its label which version it is, so what is ready and in force is read
from Revisions, never guessed from the spec. The predictor that a canary replaced travels
with the canary, in an annotation of its pods. Taking the percent away gives all traffic to
the latest *ready* Revision: while the put-back one is not ready that would be the canary.
"""

import json

from kontinual.errors import GatewayError
from kontinual.rollout.kserve.api import Json, KServeApi
from kontinual.rollout.kserve.manifest import VERSION_LABEL, next_predictor, version_of
from kontinual.rollout.kserve.readiness import condition, is_true, load_failure, pod_trouble

__all__ = ["REPLACES", "KnativeMode"]

REPLACES = "kontinual.dev/replaces"
_PERCENT = "canaryTrafficPercent"


class KnativeMode:
    """A `Mode`; one canary at a time."""

    def __init__(self, api: KServeApi) -> None:
        self._api = api

    def versions(self, found: Json) -> set[str]:
        return {version_of(p) for p in (_wanted(found), _replaced(found)) if p}

    def add(self, version: str, storage_uri: str) -> None:
        def edit(found: Json) -> None:
            if version in self.versions(found):
                return
            if not _component(found).get("latestRolledoutRevision"):
                raise GatewayError(
                    f"{self._api.title} never had a version with all traffic, so KServe would "
                    "give a canary 100 % at once. Delete it, and the next rollout makes its own"
                )
            now, replaced = _wanted(found), _replaced(found)
            stable = replaced if replaced and now[_PERCENT] < 100 else now
            found["spec"]["predictor"] = _canary_of(stable, version, storage_uri)

        self._api.change(edit)

    def missing(self, found: Json, version: str) -> str | None:
        if version_of(_wanted(found)) != version:
            return None  # the stable one, which had all traffic before
        component = _component(found)
        created, ready = (
            component.get("latestCreatedRevision"),
            component.get("latestReadyRevision"),
        )
        if not created or self._version(created) != version:
            self._refuse_invalid(found, version)
            return f"Knative has not begun with version {version}"
        if created == ready:
            return None
        failure = load_failure((found.get("status") or {}).get("modelStatus"))
        trouble, crashed = pod_trouble(self._api.pods(version))
        if failure or crashed:
            raise GatewayError(f"version {version} can not be loaded: {failure or trouble}")
        said = trouble or condition(found, "PredictorReady").get("message") or "no word why"
        return f"the Revision of version {version} is not ready: {said}"

    def unrouted(self, found: Json, version: str) -> None:  # noqa: ARG002
        return None  # a Revision that is ready can always be given traffic

    def shift(self, weights: dict[str, int]) -> None:
        def edit(found: Json) -> None:
            predictor = _wanted(found)
            if _replaced(found):
                predictor[_PERCENT] = weights.get(version_of(predictor), 0)

        self._api.change(edit)

    def weights(self, found: Json) -> dict[str, int]:
        if not is_true(found, "RoutesReady"):
            said = condition(found, "RoutesReady").get("message") or "no word of them"
            raise GatewayError(f"the routes of {self._api.title} are not ready: {said}")
        shares: dict[str, int] = {}
        for target in _component(found).get("traffic") or []:
            if target.get("percent"):
                version = self._version(target["revisionName"])
                shares[version] = shares.get(version, 0) + int(target["percent"])
        return shares

    def remove(self, version: str) -> None:
        def edit(found: Json) -> None:
            canary, replaced = _wanted(found), _replaced(found)
            if replaced is None:
                return
            if version_of(canary) == version:
                found["spec"]["predictor"] = {**replaced, _PERCENT: 0}
            elif version_of(replaced) == version:
                if canary[_PERCENT] != 100:
                    raise GatewayError(
                        f"version {version} is the stable one, and the canary has "
                        f"{canary[_PERCENT]} % of the traffic; at 100 % it takes its place"
                    )
                canary.pop(_PERCENT)

        self._api.change(edit)

    def unsettled(self, found: Json) -> str | None:
        if not _returning(found):
            return None
        version = version_of(_wanted(found))
        lacking = self.missing(found, version)
        if lacking is None:
            self._api.change(lambda now: _settle(now, version))
        return lacking or f"version {version} is put back"

    def _refuse_invalid(self, found: Json, version: str) -> None:
        """What KServe refuses never becomes a Revision."""
        status = (found.get("status") or {}).get("modelStatus") or {}
        # While a predictor is put back, this may still be said of the one it follows.
        if status.get("transitionStatus") == "InvalidSpec" and not _returning(found):
            raise GatewayError(f"version {version} can not be loaded: {load_failure(status)}")

    def _version(self, revision: str) -> str:
        found = self._api.revision(revision)
        version = ((found or {}).get("metadata") or {}).get("labels", {}).get(VERSION_LABEL)
        if version is None:
            raise GatewayError(
                f"{self._api.title}: its Revision {revision} "
                + (f"has no label {VERSION_LABEL}" if found else "does not exist")
            )
        return str(version)


def _wanted(found: Json) -> Json:
    predictor: Json = found["spec"]["predictor"]
    return predictor


def _component(found: Json) -> Json:
    status = found.get("status") or {}
    component: Json = (status.get("components") or {}).get("predictor") or {}
    return component


def _replaced(found: Json) -> Json | None:
    """The predictor that the canary replaced; None where there is no canary."""
    predictor = _wanted(found)
    text = (predictor.get("annotations") or {}).get(REPLACES)
    if _PERCENT not in predictor or text is None:
        return None
    replaced: Json = json.loads(text)
    return replaced


def _returning(found: Json) -> bool:
    return _PERCENT in _wanted(found) and _replaced(found) is None


def _canary_of(stable: Json, version: str, storage_uri: str) -> Json:
    stable = {k: v for k, v in stable.items() if k != _PERCENT}
    notes = {k: v for k, v in (stable.pop("annotations", None) or {}).items() if k != REPLACES}
    if notes:
        stable["annotations"] = notes
    canary = {**stable, **next_predictor(stable, version, storage_uri)}
    text = json.dumps(stable, sort_keys=True)
    return {**canary, "annotations": {**notes, REPLACES: text}, _PERCENT: 0}


def _settle(found: Json, version: str) -> None:
    if _returning(found) and version_of(_wanted(found)) == version:
        _wanted(found).pop(_PERCENT)
