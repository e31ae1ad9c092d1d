"""Who gets through Istio in a profile: its own policy and ours, evaluated for a request."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from kontinual.trigger import TriggerClient
from tests.unit.manifests.conftest import Overlay

Json = dict[str, Any]
# What the profile controller makes in the namespace of each profile.
PROFILE: Json = {
    "action": "ALLOW",
    "rules": [
        {"when": [{"key": "request.headers[kubeflow-userid]", "values": ["ana@example.com"]}]},
        {"when": [{"key": "source.namespace", "values": ["team"]}]},
        {"to": [{"operation": {"paths": ["/healthz", "/metrics", "/wait-for-drain"]}}]},
    ],
}
COLLECTOR, TRIGGER = "kontinual-collector", "kontinual-trigger"
PORTS = {COLLECTOR: "8081", TRIGGER: "8082"}


@dataclass(frozen=True)
class Request:
    """Without a sidecar: nothing tells who asks."""

    service: str
    method: str
    path: str


def allowed(overlay: Overlay, request: Request) -> bool:
    """Does any ALLOW policy of the pod take the request? Without one that does, it gets 403."""
    pod = overlay.one("Deployment", request.service)["spec"]["template"]["metadata"]["labels"]
    ours = [p["spec"] for p in overlay.of("AuthorizationPolicy")]
    assert all(spec["action"] == "ALLOW" for spec in ours)
    on_pod = [s for s in ours if s["selector"]["matchLabels"].items() <= pod.items()]
    rules = [rule for spec in (PROFILE, *on_pod) for rule in spec["rules"]]
    return any(not rule.get("when") and _takes(rule, request) for rule in rules)


def _takes(rule: Json, request: Request) -> bool:
    wanted = {"methods": request.method, "paths": request.path, "ports": PORTS[request.service]}
    return any(
        all(_one_of(to["operation"].get(field), value) for field, value in wanted.items())
        for to in rule["to"]
    )


def _one_of(known: list[str] | None, value: str) -> bool:
    """Istio's match of a field: any where none is named, exact, or by a prefix before `*`."""
    return known is None or any(
        value.startswith(k[:-1]) if k.endswith("*") else value == k for k in known
    )


def admits_requests() -> set[Request]:
    """What the step `admit` asks the trigger, recorded from its client."""
    asked = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.add(Request(TRIGGER, request.method, request.url.path))
        return httpx.Response(200, json={"loop": "flights", "id": 7, "rule": "not_examined"})

    client = TriggerClient("http://t", transport=httpx.MockTransport(answer), sleep=lambda _: None)
    with client.serving("flights"):
        client.ask("by the calendar", wait_seconds=0.1)
    return asked


INGESTS = [("GET", "/api/v1/store"), ("GET", "/api/v1/examples"), ("POST", "/api/v1/taken")]
ROLLOUTS = [("GET", "/api/v1/outcomes")]


def test_a_step_gets_through_to_all_that_it_asks(kubeflow: Overlay) -> None:
    """Kubeflow Pipelines gives steps no sidecar."""
    admits = admits_requests()
    assert len(admits) == 3
    steps = admits | {Request(COLLECTOR, *one) for one in (*INGESTS, *ROLLOUTS)}
    assert {request for request in steps if not allowed(kubeflow, request)} == set()


def test_alertmanager_and_prometheus_get_through(kubeflow: Overlay) -> None:
    for service in (COLLECTOR, TRIGGER):
        assert allowed(kubeflow, Request(service, "GET", "/metrics"))
    assert allowed(kubeflow, Request(TRIGGER, "POST", "/api/v1/alerts"))


@pytest.mark.parametrize(
    "request_",
    [
        Request(TRIGGER, "POST", "/api/v1/rollbacks"),
        Request(TRIGGER, "POST", "/api/v1/pause"),
        Request(TRIGGER, "POST", "/api/v1/triggers/7/approve"),
        Request(TRIGGER, "GET", "/api/v1/runs"),
        Request(COLLECTOR, "POST", "/api/v1/labels"),
        Request(COLLECTOR, "POST", "/api/v1/events"),
    ],
    ids=lambda request: request.path,
)
def test_nothing_else_is_open_to_who_is_not_known(kubeflow: Overlay, request_: Request) -> None:
    assert not allowed(kubeflow, request_)
