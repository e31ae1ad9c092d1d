"""The whole stack: Prometheus, Alertmanager, Envoy, collector, trigger and a predictor."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from kontinual.errors import ServiceError
from kontinual.local import Stack
from kontinual.local.processes import marked
from kontinual.rollout import EnvoyGateway
from kontinual.settings import Settings

ROW = {"key": "a", "at": "2013-05-01T10:00:00Z", "distance": 2900.0, "origin": "JFK"}
SERVICES = {"prometheus", "alertmanager", "envoy", "collector", "trigger"}


def eventually(condition: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def stack(settings: Settings, loop_path: Path) -> Iterator[Stack]:
    # So much faster that Prometheus looks every second.
    fast = settings.model_copy(update={"speedup": 600.0})
    stack = Stack(fast, loop_path, owned=True)
    with stack:
        yield stack


def health_of_targets(settings: Settings) -> dict[str, str]:
    answer = httpx.get(f"{settings.prometheus}/api/v1/targets").json()
    return {t["labels"]["job"]: t["health"] for t in answer["data"]["activeTargets"]}


def always_up(settings: Settings, job: str) -> bool:
    """Did every scrape of a job get its answer?"""
    query = {"query": f'min_over_time(up{{job="{job}"}}[10m])'}
    answer = httpx.get(f"{settings.prometheus}/api/v1/query", params=query).json()
    (found,) = answer["data"]["result"]
    return bool(found["value"][1] == "1")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def test_a_whole_stack_answers_is_watched_heals_and_goes_without_a_trace(
    stack: Stack, package: Path, client: httpx.Client
) -> None:
    settings = stack.settings
    assert {s.name: s.state for s in stack.status()} == dict.fromkeys(SERVICES, "ready")

    gateway = EnvoyGateway(
        folder=stack.files.envoy,
        admin=settings.gateway_admin,
        predictors=stack.predictors,
        client=client,
    )
    gateway.deploy("1", package)
    gateway.shift({"1": 100})
    predict = f"{settings.gateway_url}/v1/models/delays:predict"
    answer = httpx.post(predict, json={"instances": [ROW]})
    assert answer.headers["x-kontinual-version"] == "1"
    assert answer.json()["predictions"][0] > 0.5

    jobs = {*SERVICES, "predictor"} - {"prometheus"}
    eventually(lambda: health_of_targets(settings) == dict.fromkeys(jobs, "up"))
    assert always_up(settings, "predictor"), "one that starts is not down"

    (before,) = [s.pid for s in stack.status() if s.name == "predictor-1"]
    eventually(lambda: stack.supervisor.states()["predictor-1"].state == "RUNNING")
    os.kill(before or 0, signal.SIGKILL)
    eventually(lambda: stack.supervisor.states()["predictor-1"].pid not in {None, before})
    eventually(lambda: httpx.post(predict, json={"instances": [ROW]}).status_code == 200)

    stack.down()
    assert not marked(stack.files.stack)
    assert {s.state for s in stack.status()} == {"down"}

    # Weights and predictors are kept: what served before serves again.
    stack.up()
    eventually(lambda: httpx.post(predict, json={"instances": [ROW]}).status_code == 200)
    assert gateway.weights() == {"1": 100}
    gateway.shift({})
    gateway.retire("1")
    assert stack.predictors.running() == {}
    eventually(lambda: "predictor" not in health_of_targets(settings))


def test_up_again_changes_nothing_that_runs_and_a_changed_loop_comes_into_force(
    stack: Stack, loop_path: Path
) -> None:
    before = {s.name: s.pid for s in stack.status()}
    stack.up()
    assert {s.name: s.pid for s in stack.status()} == before

    text = loop_path.read_text(encoding="utf-8")
    loop_path.write_text(text.replace("threshold: 0.02", "threshold: 0.04321"), encoding="utf-8")
    stack.up()
    rules = httpx.get(f"{stack.settings.prometheus}/api/v1/rules").text
    assert "0.04321" in rules
    assert {s.name: s.pid for s in stack.status()} == before


def test_prometheus_keeps_a_year_of_what_the_page_shows_and_every_window_whole(
    settings: Settings, loop_path: Path
) -> None:
    text = loop_path.read_text(encoding="utf-8")
    long = text.replace("monitoring:\n", "monitoring:\n  window: 30d\n")
    loop_path.write_text(long, encoding="utf-8")
    with Stack(settings, loop_path, owned=True):
        answer = httpx.get(f"{settings.prometheus}/api/v1/status/runtimeinfo").json()
    assert answer["data"]["storageRetention"] == "395d"


def test_the_webhook_takes_the_stacks_token_alone(stack: Stack) -> None:
    token = stack.files.token
    assert token.stat().st_mode & 0o777 == 0o600
    url = f"{stack.settings.trigger}/api/v1/triggers"
    body = {"source": "manual", "reason": "a test"}
    refused = httpx.post(url, json=body, headers={"Authorization": "Bearer wrong"})
    assert refused.status_code == 401
    good = {"Authorization": f"Bearer {token.read_text()}"}
    assert httpx.post(url, json=body, headers=good).status_code in {200, 201, 202}


def test_a_predictor_that_does_not_come_up_is_an_error_with_its_log_and_leaves_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=r"(?s)predictor-9 did not come up.*no complete model"):
        stack.predictors.start("9", tmp_path / "no-package")
    assert stack.predictors.running() == {}
    assert "predictor-9" not in stack.supervisor.states()


def test_a_busy_port_is_named_with_its_holder_and_the_way_out_and_nothing_starts(
    settings: Settings, loop_path: Path
) -> None:
    port = urlsplit(settings.alertmanager).port
    with socket.create_server(("127.0.0.1", port or 0)), pytest.raises(ServiceError) as refusal:
        Stack(settings, loop_path, owned=True).up()
    assert str(refusal.value).startswith(
        f"alertmanager needs 127.0.0.1:{port}, but process {os.getpid()} ("
    )
    assert "set KONTINUAL_ALERTMANAGER to http://127.0.0.1:<another port>" in str(refusal.value)
    assert not marked(settings.home.resolve() / "stack")


def test_a_home_is_not_shared_by_two_loops(settings: Settings, loop_path: Path) -> None:
    other = loop_path.with_name("other.yaml")
    other.write_text(loop_path.read_text().replace("name: delays", "name: noshows"))
    with (
        Stack(settings, loop_path),
        pytest.raises(ServiceError, match=r"of the loop 'delays' .* not of 'noshows'"),
    ):
        Stack(settings, other).up()
