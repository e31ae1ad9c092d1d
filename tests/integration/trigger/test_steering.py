"""A person steers the loop: by HTTP and by the command line, with their name in the ledger."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner, Result

from kontinual.cli import app as cli
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import (
    Credential,
    Doorkeeper,
    Ledger,
    Policy,
    PrometheusSource,
    Run,
    RunKind,
    Scope,
    TriggerService,
    Worker,
)
from kontinual.trigger.app import build_app
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.client import POLL_SECONDS
from kontinual.trigger.evidence import PrometheusEvidence, RollbackEvidence
from kontinual.trigger.guard import MAX_BODY_BYTES
from kontinual.trigger.metrics import TriggerMetrics

LOOP = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")
PEOPLE = {"ana": [Scope.READ, Scope.WRITE], "reader": [Scope.READ], "alerts": [Scope.ALERT]}
Kontinual = Callable[..., Result]


class EndsWhenTold:
    """A launcher whose retrainings go on until they are stopped; a rollback is done at once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.launched: list[Run] = []
        self.stopped: set[str] = set()
        self.done: set[str] = set()

    def launch(self, run: Run) -> dict[str, Any]:
        folder = self.home / run.id
        folder.mkdir(exist_ok=True)
        (folder / "run.log").write_text("training\n")
        self.launched.append(run)
        return {"folder": str(folder)}

    def stop(self, run: Run) -> None:
        self.stopped.add(run.id)

    def outcome(self, run: Run) -> RunRecord | None:
        now = datetime.now(UTC)
        rollback = run.wish.kind is RunKind.ROLLBACK
        if not rollback and run.id not in self.stopped | self.done:
            return None
        good = Outcome.RESTORED if rollback else Outcome.PROMOTED
        return RunRecord(
            id=run.id,
            loop="flights",
            trigger=str(run.trigger),
            outcome=Outcome.FAILED if run.id in self.stopped else good,
            reason="as told",
            started_at=now,
            ended_at=now,
            version=run.wish.version,
        )


class OneChampion:
    def champion(self) -> str:
        return "4"

    def champions(self) -> list[str]:
        return ["3", "4"]

    def former_champion(self) -> str:
        return "3"

    def champion_since(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def launcher(tmp_path: Path) -> EndsWhenTold:
    return EndsWhenTold(tmp_path)


@pytest.fixture
def url(
    launcher: EndsWhenTold, loop: Loop, prometheus, port: int, until, tmp_path: Path
) -> Iterator[str]:
    """A service at work, of which everybody has to be known."""
    prometheus.is_ripe(loop)
    with ExitStack() as stack:
        source = PrometheusSource(prometheus.url)
        stack.callback(source.close)
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", "flights")
        stack.callback(ledger.close)
        metrics = TriggerMetrics("flights")
        worker = Worker(
            ledger,
            Policy(loop),
            evidence=RollbackEvidence(loop, PrometheusEvidence(loop, source), OneChampion()),
            launcher=launcher,
            metrics=metrics,
            pass_seconds=0.02,
        )
        watch = ChampionWatch(OneChampion(), metrics)
        watch.refresh()
        metrics.watch(ledger, leads=lambda: worker.leads, clock=lambda: datetime.now(UTC))
        service = TriggerService(loop, ledger, worker, metrics=metrics, champion=watch)
        known = [Credential.of_token(n, name=n, scopes=scopes) for n, scopes in PEOPLE.items()]
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(service, doorkeeper=Doorkeeper(known)), port=port, log_config=None
            )
        )
        for task, stop in (
            (server.run, lambda: setattr(server, "should_exit", True)),
            (worker.run_forever, worker.stop),
        ):
            thread = threading.Thread(target=task)
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop)
        until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def as_(url: str) -> Iterator[Callable[[str], httpx.Client]]:
    """The service, as one of those it knows."""
    with ExitStack() as stack:

        def client(name: str) -> httpx.Client:
            headers = {"Authorization": f"Bearer {name}"}
            return stack.enter_context(httpx.Client(base_url=f"{url}/api/v1", headers=headers))

        yield client


@pytest.fixture
def kontinual(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kontinual:
    """The command line of a person."""
    for name, value in {"TRIGGER": url, "TOKEN": "ana", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(f"KONTINUAL_{name}", value)

    def run(*arguments: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(cli, list(arguments))
        assert (done.exit_code != 0) == fails, (done.output, done.exception)
        return done

    return run


def test_each_scope_lets_do_its_part_and_nothing_else(as_, post, loop: Loop) -> None:
    delivery = post(loop, at=datetime.now(UTC))
    wanted = {"reason": "please"}
    seen = {
        who: [
            as_(who).post("/alerts", json=delivery).status_code,
            as_(who).post("/triggers", json=wanted).status_code,
            as_(who).get("/status").status_code,
        ]
        for who in (*PEOPLE, "eve")
    }
    assert seen == {
        "ana": [403, 202, 200],
        "reader": [403, 403, 200],
        "alerts": [202, 403, 403],
        "eve": [401, 401, 401],
    }


def test_refusals_are_counted_by_their_reason(as_, url: str) -> None:
    ana = as_("ana")
    ana.post("/triggers", content=b" " * (MAX_BODY_BYTES + 1))
    ana.post("/triggers", content=b"{", headers={"content-type": "application/json"})
    ana.post("/resume", json={"reason": "x"})
    ana.get("/triggers/7")
    as_("eve").get("/status")
    as_("alerts").get("/status")
    text = httpx.get(f"{url}/metrics").text
    for reason in (
        *("too_large", "malformed", "not_now", "not_there", "unauthenticated", "forbidden"),
    ):
        line = f'kontinual_trigger_refused_total{{model="flights",reason="{reason}"}} 1.0'
        assert line in text, reason


def test_every_refusal_says_what_is_wrong_in_the_same_form(as_) -> None:
    ana = as_("ana")
    refused = [
        ana.get("/triggers/7"),
        ana.post("/triggers/7/approve", json={"reason": "x"}),
        ana.post("/runs/none/stop", json={"reason": "x"}),
        ana.post("/resume", json={"reason": "x"}),
        ana.post("/circuit/close", json={"reason": "x"}),
        ana.post("/triggers", json={"reason": "a\0b"}),
        ana.post("/triggers", json={"reason": "x", "source": "schedule", "past_policy": True}),
        ana.post("/triggers", json={"reason": "x", "process": {"a": "b"}}),
        ana.post("/rollbacks", json={"reason": "x", "version": "4"}),
        ana.get("/nowhere"),
    ]
    told = [(answer.status_code, answer.json()["detail"]) for answer in refused]
    assert told == [
        (404, "the ledger of flights has no trigger 7"),
        (404, "the ledger of flights has no trigger 7"),
        (404, "the ledger of flights has no run 'none'"),
        (409, "loop flights is not paused"),
        (409, "the circuit of flights is closed: no run failed"),
        (422, "reason: Value error, a text can not hold the character NUL"),
        (409, "only a person goes past the policy, but the source is schedule"),
        (409, "`process` tells where a run goes on, so `run` has to name it"),
        (409, "version 4 is champion already"),
        (404, "Not Found"),
    ]
    assert all(set(answer.json()) == {"detail", "problems"} for answer in refused)


def test_the_openapi_document_names_every_answer(as_, url: str) -> None:
    document = httpx.get(f"{url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = set(operation["responses"])
            if path.startswith("/api/"):
                assert answers >= {"401", "403", "413", "503"}, (method, path)
            assert operation["description"], (method, path)
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


def test_a_run_that_goes_on_elsewhere_is_admitted_followed_and_never_launched(
    as_, until, launcher: EndsWhenTold
) -> None:
    ana = as_("ana")
    asked = {"source": "schedule", "reason": "the first of the month", "run": "flights-kfp-1"}
    body = {**asked, "process": {"url": "https://kfp/runs/1"}}
    number = ana.post("/triggers", json=body).raise_for_status().json()["id"]
    until(lambda: ana.get(f"/triggers/{number}").json()["decision"] == "accept")
    run = ana.get("/runs/flights-kfp-1").json()
    assert (run["state"], run["process"]) == ("running", {"url": "https://kfp/runs/1"})
    assert ana.post("/triggers", json=body).status_code == 409, "a name is used once"
    second = {**body, "run": "flights-kfp-2"}
    number = ana.post("/triggers", json=second).json()["id"]
    until(lambda: ana.get(f"/triggers/{number}").json()["decision"] == "suppress")
    told = ana.get(f"/triggers/{number}").json()
    assert told["reason"] == "run flights-kfp-1 is in progress; a run that goes on can not wait"
    launcher.done.add("flights-kfp-1")
    until(lambda: ana.get("/runs/flights-kfp-1").json()["outcome"] == "promoted")
    assert launcher.launched == []


def test_pause_hold_approve_and_resume_by_the_command_line(kontinual: Kontinual, as_) -> None:
    assert "is paused: no run is started" in kontinual("pause", LOOP, "--reason", "a look").output
    told = kontinual("trigger", LOOP, "--reason", "new routes", "--by", "ana").output
    assert told.startswith("trigger 1: hold (paused): the loop is paused by ")
    assert "trigger 1 is approved" in kontinual("approve", LOOP, "1", "--reason", "go").output
    assert as_("ana").get("/triggers/1").json()["by"] == "ana (ana)", "the person, and their token"
    rejected = kontinual("reject", LOOP, "1", "--reason", "no", "--by", "ben").output
    assert rejected == "trigger 1: rejected by ben (ana): no\n"
    again = kontinual("withdraw", LOOP, "1", "--reason", "x", fails=True)
    assert "trigger 1 is decided already, and once is final" in str(again.exception)
    assert "is resumed" in kontinual("resume", LOOP, "--reason", "seen").output


def test_a_run_by_hand_is_in_the_ledger_shown_and_stopped_by_another_hand(
    kontinual: Kontinual, as_, until, launcher: EndsWhenTold, tmp_path: Path
) -> None:
    ana = as_("ana")

    def stop() -> None:
        until(lambda: launcher.launched)
        ana.post("/runs/flights-by-hand/stop", json={"reason": "a mistake"})

    another = threading.Thread(target=stop)
    another.start()
    done = kontinual("run", LOOP, "--run-id", "flights-by-hand", "--seed", "7", fails=True)
    another.join()
    assert done.output.splitlines() == [
        "run flights-by-hand (trigger 1)",
        f"log: {tmp_path}/flights-by-hand/run.log",
        "run flights-by-hand: stopped: stopped by ana: a mistake",
    ]
    assert launcher.launched[0].wish.seed == 7
    assert ana.get("/status").json()["last_run"] == "flights-by-hand"


def test_the_ledger_shows_a_run_by_its_whole_id_on_a_narrow_terminal(
    kontinual: Kontinual, as_, until, launcher: EndsWhenTold, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "flights-by-hand-of-a-person-at-a-keyboard-in-march"
    as_("ana").post("/triggers", json={"reason": "x", "past_policy": True, "run": run})
    until(lambda: launcher.launched)
    monkeypatch.setenv("COLUMNS", "80")
    assert run in kontinual("ledger", "show", LOOP).output


def test_a_second_run_by_hand_is_not_started_and_leaves_nothing_behind(
    kontinual: Kontinual, as_, until, launcher: EndsWhenTold
) -> None:
    ana = as_("ana")
    ana.post("/triggers", json={"reason": "x", "past_policy": True, "run": "flights-first"})
    until(lambda: launcher.launched)
    told = kontinual("run", LOOP, fails=True).output
    assert "not started: run flights-first is in progress" in told
    assert ana.get("/triggers/2").json()["rule"] == "withdrawn"


def test_a_rollback_is_a_run_of_its_own_even_while_paused(
    kontinual: Kontinual, launcher: EndsWhenTold
) -> None:
    kontinual("pause", LOOP, "--reason", "version 4 is bad")
    told = kontinual("rollback", LOOP, "--to", "3", "--reason", "version 4 is bad").output
    assert "trigger 1: accept: asked for by a person: roll back to version 3" in told
    assert "restored: as told" in told
    (run,) = launcher.launched
    assert (run.wish.kind, run.wish.version) == (RunKind.ROLLBACK, "3")
    assert "restored" in kontinual("ledger", "show", LOOP).output


def test_a_rollback_waits_for_the_run_in_progress_and_says_how_to_take_it_back(
    kontinual: Kontinual, as_, until, launcher: EndsWhenTold
) -> None:
    ana = as_("ana")
    ana.post("/triggers", json={"reason": "x", "past_policy": True, "run": "flights-first"})
    until(lambda: launcher.launched)
    asked = kontinual("rollback", LOOP, "--to", "3", "--reason", "bad", "--no-wait").output
    assert "trigger 2: hold: run flights-first is in progress" in asked
    assert f"it waits; `kontinual withdraw {LOOP} 2 --reason …` takes it back" in asked
    kontinual("withdraw", LOOP, "2", "--reason", "better wait for it")

    def finish() -> None:
        until(lambda: ana.get("/triggers/3").json().get("rule") == "run_in_progress")
        time.sleep(2 * POLL_SECONDS)  # the command has seen it as well
        launcher.done.add("flights-first")

    another = threading.Thread(target=finish)
    another.start()
    told = kontinual("rollback", LOOP, "--to", "3", "--reason", "bad").output
    another.join()
    assert "trigger 3: hold: run flights-first is in progress" in told
    assert "trigger 3: accept: asked for by a person: roll back to version 3" in told
    assert told.splitlines()[-1].endswith("restored: as told")


def test_the_kill_switch_works_without_a_service_too(
    kontinual: Kontinual, as_, until, unused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KONTINUAL_TRIGGER", f"http://127.0.0.1:{unused}")
    reason = ("--reason", "everything is odd", "--by", "ana")
    unreachable = kontinual("pause", "--all", *reason, fails=True)
    assert "can not be reached" in str(unreachable.exception)
    told = kontinual("pause", "--all", "--stop-runs", "--offline", *reason).output
    assert told.startswith("all loops are paused")
    again = kontinual("pause", "--all", "--stop-runs", "--offline", *reason).output
    assert again.endswith("and what runs is asked to end\n")
    paused = kontinual("pause", "--all", "--offline", *reason, fails=True)
    assert "all loops are paused already, by ana" in str(paused.exception)
    assert as_("ana").get("/status").json()["paused_everywhere"]["by"] == "ana"
    kontinual("resume", "--all", "--offline", *reason)
    assert as_("ana").get("/status").json()["paused_everywhere"] is None
    both = kontinual("pause", LOOP, "--all", *reason, fails=True)
    assert "name either a loop (LOOP) or every loop (--all)" in str(both.exception)


def test_the_ledger_is_archived_and_verified_by_the_command_line(
    kontinual: Kontinual, as_, tmp_path: Path
) -> None:
    kontinual("pause", LOOP, "--reason", "one")
    kontinual("resume", LOOP, "--reason", "two")
    out = str(tmp_path / "old.jsonl")
    told = kontinual("ledger", "archive", LOOP, "--before", "2100-01-01", "--out", out).output
    assert told.startswith(f"1 entries up to 1 are in {out}; sha256 ")
    verified = kontinual("ledger", "verify", LOOP).output
    assert "1 entries are in archives; give them by --archive to check them as well" in verified
    whole = kontinual("ledger", "verify", LOOP, "--archive", out).output
    assert whole.startswith("the ledger of flights is whole: 3 entries, ")
    assert "archives" not in whole
    assert "is up to date; revision" in kontinual("ledger", "migrate").output
    entries = as_("ana").get("/entries", params={"after": 2}).json()
    assert [e["kind"] for e in entries] == ["checkpoint"]
