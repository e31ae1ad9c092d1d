"""The service over real HTTP, within this process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from pydantic import SecretStr
from typer.testing import CliRunner

from kontinual.cli.ledger import app as ledger_app
from kontinual.cli.trigger import app as trigger_app
from kontinual.errors import LedgerError, MetricsUnavailable, ServiceError, SpecError
from kontinual.settings import Settings
from kontinual.spec import MAX_ALERTS, Loop, RunRecord
from kontinual.trigger import (
    Ledger,
    LedgerDown,
    Policy,
    PrometheusSource,
    Run,
    TriggerClient,
    Worker,
)
from kontinual.trigger.app import build_app
from kontinual.trigger.auth import Credential, Doorkeeper, Scope
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.evidence import PrometheusEvidence
from kontinual.trigger.guard import MAX_DELIVERY_BYTES
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.server import open_door, split_command
from kontinual.trigger.service import TriggerService

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOP = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")
Post = Callable[..., dict[str, Any]]


class NeverEnding:
    """A launcher whose runs go on for ever."""

    def launch(self, run: Run) -> dict[str, Any]:
        return {"pid": 1}

    def outcome(self, run: Run) -> RunRecord | None:
        return None

    def stop(self, run: Run) -> None:
        pass


class OneChampion:
    def champion(self) -> str:
        return "4"

    def champion_since(self) -> datetime:
        return NOW


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.db", "flights")
    yield opened
    opened.close()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def worker(ledger: Ledger, loop: Loop, prometheus, closing: ExitStack) -> Worker:
    source = PrometheusSource(prometheus.url)
    closing.callback(source.close)
    return Worker(
        ledger,
        Policy(loop),
        evidence=PrometheusEvidence(loop, source),
        launcher=NeverEnding(),
        metrics=TriggerMetrics("flights"),
        pass_seconds=0.02,
    )


@pytest.fixture
def url(ledger: Ledger, worker: Worker, loop: Loop, port: int, until) -> Iterator[str]:
    """Where the service is; its worker does not work unless a test lets it."""
    metrics = worker._metrics
    watch = ChampionWatch(OneChampion(), metrics)
    watch.refresh()
    metrics.watch(ledger, leads=lambda: worker.leads, clock=lambda: datetime.now(UTC))
    service = TriggerService(loop, ledger, worker, metrics=metrics, champion=watch)
    secret = Credential.of_token("secret", name="ops", scopes=Scope)
    app = build_app(service, doorkeeper=Doorkeeper([secret], for_anybody=[Scope.READ]))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer secret"}) as client:
        yield client


@pytest.fixture
def working(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run_forever)
    thread.start()
    yield
    worker.stop()
    thread.join()


@pytest.mark.parametrize("path", ["/api/v1/alerts", "/api/v1/triggers"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer secreT"}, {"Authorization": "ü"}])
def test_who_has_not_the_token_may_not_write(
    url: str, ledger: Ledger, path: str, header: dict[str, str]
) -> None:
    encoded = {k: v.encode() for k, v in header.items()}
    answer = httpx.post(f"{url}{path}", json={"reason": "x"}, headers=encoded)
    assert answer.status_code == 401
    assert ledger.triggers() == []


@pytest.mark.parametrize(
    "foreign", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_may_not_write_whoever_looks_at_it(
    http: httpx.Client, url: str, loop: Loop, ledger: Ledger, post: Post, foreign: dict[str, str]
) -> None:
    alert = post(loop, at=NOW)
    assert http.post("/api/v1/alerts", json=alert, headers=foreign).status_code == 403
    assert ledger.triggers() == []
    assert http.get("/api/v1/status", headers=foreign).status_code == 200
    own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    assert http.post("/api/v1/alerts", json=alert, headers=own).status_code == 202


def test_who_calls_by_a_name_that_is_not_this_machines_reads_nothing_without_a_token(
    loop: Loop, ledger: Ledger, worker: Worker
) -> None:
    watch = ChampionWatch(OneChampion(), worker._metrics)
    service = TriggerService(loop, ledger, worker, metrics=worker._metrics, champion=watch)
    door = open_door(Settings(token=SecretStr("secret")), host="127.0.0.1", insecure=False)
    client = TestClient(build_app(service, doorkeeper=door))
    for host, status in (("127.0.0.1:8082", 200), ("evil.example:8082", 401)):
        assert client.get("/api/v1/triggers", headers={"Host": host}).status_code == status
    known = {"Host": "loop.example", "Authorization": "Bearer secret"}
    assert client.get("/api/v1/triggers", headers=known).status_code == 200


def test_a_delivery_is_recorded_before_it_is_answered(
    http: httpx.Client, loop: Loop, ledger: Ledger, post: Post
) -> None:
    alert = post(loop, at=NOW)
    alert["alerts"] += post(loop, at=NOW, model="other")["alerts"]
    answer = http.post("/api/v1/alerts", json=alert)
    assert answer.status_code == 202
    told = {"recorded": [1], "duplicates": 0, "resolved": [], "other_models": 1}
    assert answer.json() == told
    assert http.post("/api/v1/alerts", json=alert).json()["duplicates"] == 1
    assert [t.alert for t in ledger.triggers()] == ["quality_decay"]
    text = http.get("/metrics").text
    for result, number in (("recorded", 1.0), ("duplicate", 1.0), ("other_model", 2.0)):
        line = f'kontinual_webhook_alerts_total{{model="flights",result="{result}"}} {number}'
        assert line in text


def test_a_resolved_alert_is_noted(http: httpx.Client, loop: Loop, post: Post) -> None:
    http.post("/api/v1/alerts", json=post(loop, at=NOW))
    gone = post(loop, status="resolved", at=NOW)
    assert http.post("/api/v1/alerts", json=gone).json()["resolved"] == [1]


def test_a_body_with_mistakes_is_refused_by_its_fields(
    http: httpx.Client, loop: Loop, ledger: Ledger, post: Post
) -> None:
    broken = post(loop, at=NOW)
    broken["alerts"].append({"status": "firing"})
    answer = http.post("/api/v1/alerts", json=broken)
    assert answer.status_code == 422
    fields = [p["field"] for p in answer.json()["problems"]]
    assert "alerts[1].fingerprint" in fields
    assert ledger.triggers() == [], "not even the good half of it"
    assert http.post("/api/v1/alerts", content=b"{").status_code == 422
    assert http.post("/api/v1/triggers", json={"reason": ""}).status_code == 422


def test_the_longest_delivery_of_an_alertmanager_is_taken_whole(
    http: httpx.Client, loop: Loop, post: Post
) -> None:
    storm = post(loop, at=NOW)
    (alert,) = storm["alerts"]
    alert["annotations"] = {"summary": "s" * 100, "description": "d" * 400}
    alert["generatorURL"] = "http://prometheus.example/graph?g0.expr=" + "e" * 300
    storm["alerts"] = [{**alert, "fingerprint": f"{i:016x}"} for i in range(MAX_ALERTS)]
    answer = http.post("/api/v1/alerts", json=storm, timeout=60)
    assert (answer.status_code, len(answer.json()["recorded"])) == (202, MAX_ALERTS)


def test_a_body_that_never_ends_is_cut(http: httpx.Client, ledger: Ledger) -> None:
    answer = http.post("/api/v1/alerts", content=b" " * (MAX_DELIVERY_BYTES + 1))
    assert answer.status_code == 413
    assert ledger.triggers() == []


def test_what_can_not_be_written_is_asked_for_again(
    http: httpx.Client,
    loop: Loop,
    ledger: Ledger,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(ledger, "receive_all", fail)
    answer = http.post("/api/v1/alerts", json=post(loop, at=NOW))
    assert (answer.status_code, answer.json()["detail"]) == (503, "the disk is full")
    text = http.get("/metrics").text
    assert 'kontinual_trigger_errors_total{kind="ledger",model="flights"} 1.0' in text


def test_before_it_is_examined_a_trigger_shows_as_held(http: httpx.Client) -> None:
    http.post("/api/v1/triggers", json={"source": "manual", "reason": "new routes"})
    (trigger,) = http.get("/api/v1/triggers").json()
    assert (trigger["decision"], trigger["rule"]) == ("hold", "not_examined")
    assert trigger["summary"] == "new routes"
    assert http.get("/api/v1/triggers/1").json() == trigger
    assert http.get("/api/v1/triggers/2").status_code == 404
    assert "kontinual_trigger_undecided_seconds" in http.get("/metrics").text


def test_status_and_metrics_tell_champion_and_run(
    http: httpx.Client, working: None, prometheus, loop: Loop, post: Post, until
) -> None:
    prometheus.is_ripe(loop)
    idle = {"loop": "flights", "run_in_progress": None, "champion": "4", "open_triggers": []}
    assert idle.items() <= http.get("/api/v1/status").json().items()
    http.post("/api/v1/alerts", json=post(loop, at=NOW))
    (run,) = until(lambda: http.get("/api/v1/runs").json())
    assert http.get("/api/v1/status").json()["run_in_progress"] == run["id"]
    assert run["outcome"] is None
    assert run["steps"] == []
    text = http.get("/metrics").text
    assert 'kontinual_run_in_progress{model="flights"} 1.0' in text
    assert 'kontinual_champion_info{model="flights",version="4"} 1.0' in text


def test_a_hanging_worker_is_no_healthy_service(
    http: httpx.Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.get("/healthz").status_code == 200
    monkeypatch.setattr(worker, "_beat", datetime.now(UTC) - timedelta(minutes=2))
    assert http.get("/healthz").status_code == 503
    assert http.get("/livez").status_code == 503


def test_a_service_without_its_database_is_not_ready_and_still_alive(
    http: httpx.Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart would help nobody: it is to go on when the database is back."""

    def away() -> None:
        raise LedgerDown("ledger postgresql://k@postgres/k: it does not answer")

    monkeypatch.setattr(worker._ledger, "open_summary", away)
    assert http.get("/healthz").status_code == 503
    assert http.get("/livez", headers={"Authorization": ""}).status_code == 200


def test_an_alert_is_true_only_while_its_own_series_is(
    working: None, http: httpx.Client, prometheus, loop: Loop, post: Post, until
) -> None:
    prometheus.is_ripe(loop)
    http.post("/api/v1/alerts", json=post(loop, at=NOW, version="0"))
    told = until(
        lambda: [t for t in http.get("/api/v1/triggers").json() if t["decision"] != "hold"]
    )
    assert (
        told[0]["reason"] == 'no longer true: kontinual:quality_decay:value{model="flights"} > 0.03'
    )


def test_the_command_line_asks_and_prints_the_decision(
    url: str, working: None, prometheus, loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prometheus.is_ripe(loop)
    monkeypatch.setenv("KONTINUAL_TRIGGER", url)
    monkeypatch.setenv("KONTINUAL_TOKEN", "secret")
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path))
    asked = CliRunner().invoke(trigger_app, [LOOP, "--reason", "new routes"])
    assert asked.exit_code == 0, asked.output
    assert "trigger 1: accept (accepted): asked for by a person" in asked.output
    verified = CliRunner().invoke(ledger_app, ["verify", LOOP])
    assert "the ledger of flights is whole: " in verified.output
    assert "1 triggers, 1 runs" in verified.output
    exported = CliRunner().invoke(ledger_app, ["export", LOOP])
    assert exported.output.splitlines()[0].startswith('{"loop":"flights","seq":1,')
    assert "new routes" in exported.output
    shown = CliRunner().invoke(ledger_app, ["show", LOOP])
    assert "accept" in shown.output


def test_the_client_says_what_is_wrong(url: str, port: int, unused: int) -> None:
    with TriggerClient(url, token="wrong") as client:  # noqa: SIM117
        with pytest.raises(ServiceError, match="wants another token: set KONTINUAL_TOKEN"):
            client.ask("please")
    with TriggerClient(f"http://127.0.0.1:{unused}") as client:  # noqa: SIM117
        with pytest.raises(ServiceError, match=r"not be reached.*is KONTINUAL_TRIGGER right\?"):
            client.status()


def test_no_data_and_no_answer_are_different(prometheus, unused: int, closing: ExitStack) -> None:
    source = PrometheusSource(prometheus.url)
    closing.callback(source.close)
    assert source.vector("up") == []
    prometheus.body = b"<html>a proxy's page</html>"
    with pytest.raises(MetricsUnavailable, match="answers 'up' with no vector"):
        source.vector("up")
    prometheus.body, prometheus.status = b'{"error":"parse error"}', 400
    with pytest.raises(MetricsUnavailable, match=r"refuses 'up'.*parse error"):
        source.vector("up")
    with pytest.raises(MetricsUnavailable, match=r"can not be reached \(ConnectionError\)"):
        PrometheusSource(f"http://127.0.0.1:{unused}").vector("up")


def test_without_a_credential_only_a_loopback_service_may_be_asked_for() -> None:
    with_token = Settings(token=SecretStr("secret"))
    known = open_door(with_token, host="0.0.0.0", insecure=False)  # noqa: S104
    assert known.identify("Bearer secret").may(Scope.WRITE)
    assert known.identify(None).scopes == frozenset(), "elsewhere reading asks for one too"
    here = open_door(with_token, host="127.0.0.1", insecure=False)
    insecure = open_door(Settings(), host="127.0.0.1", insecure=True)
    for name in ("127.0.0.1", "localhost", "::1"):
        assert here.identify(None, host=name).scopes == {Scope.READ}
        assert insecure.identify(None, host=name).may(Scope.WRITE)
    for door in (here, insecure):
        told = "a page whose name points to this machine is not on it"
        assert door.identify(None, host="evil.example").scopes == frozenset(), told
    for host, insecure in (("127.0.0.1", False), ("0.0.0.0", True)):  # noqa: S104
        with pytest.raises(SpecError, match="KONTINUAL_TOKEN is empty"):
            open_door(Settings(), host=host, insecure=insecure)


def test_a_run_command_is_a_command_line() -> None:
    assert split_command("python 'a b.py' run") == ["python", "a b.py", "run"]
    for text, why in (("", "is empty"), ("'", "not a command line")):
        with pytest.raises(SpecError, match=why):
            split_command(text)
