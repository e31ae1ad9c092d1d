"""A month of one loop, as its trigger would have written it, served with the page.

The ledger, the policy, the service and Prometheus are real; the past is written with a clock
that is told the time, and Prometheus is given its figures by `promtool`.
"""

import math
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from kontinual.local.tools import find_tool
from kontinual.spec import Loop, Outcome, RolloutStep, RunRecord, load_loop
from kontinual.trigger import (
    Ask,
    Credential,
    Doorkeeper,
    Evidence,
    Ledger,
    Policy,
    Query,
    Run,
    Scope,
    Source,
    TriggerService,
    Wish,
    Worker,
)
from kontinual.trigger.app import build_app
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.control import Control
from kontinual.trigger.ledger import utc_now
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.page import PrometheusFigures, Sessions, add_page, session_key
from kontinual.trigger.policy import PolicyJudge
from kontinual.trigger.rules import declared_alert

ROOT = Path(__file__).parents[3]
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
TOKENS = {"ada": ("ada-token", tuple(Scope)), "visitor": ("visitor-token", (Scope.READ,))}
HURT = {"value": 0.041, "quality_decay": 0.041, "expected_log_loss_rise": 0.012}
CALM = {"value": 0.31, "quality_decay": 0.004, "expected_log_loss_rise": 0.001}
WEIGHTS = (5, 25, 50, 100)


def the_loop() -> Loop:
    """The flights, with a cooldown that lets a month hold some runs."""
    loop = load_loop(str(ROOT / "examples" / "flights" / "loop.yaml"))
    faster = loop.trigger.model_copy(update={"cooldown": HOUR})
    return loop.model_copy(update={"trigger": faster})


class Past:
    """Writes a ledger with the clock of another day."""

    def __init__(self, url: str, loop: Loop, now: datetime) -> None:
        self.now, self.at = now, now
        self.loop, self.policy = loop, Policy(loop)
        self.ledger = Ledger(url, loop.name, clock=lambda: self.at)

    def days_ago(self, days: float) -> datetime:
        self.at = self.now - days * DAY
        return self.at

    def alert(self, kind: str, seen: dict[str, float], *, rows: float = 5200) -> int:
        """An alert comes in and is judged a second later."""
        ask = Ask(
            source=Source.ALERTMANAGER,
            alert=kind,
            fingerprint=f"{kind}-{self.at:%j}",
            starts_at=self.at - 2 * MINUTE,
            labels={"model": self.loop.name, "kind": kind},
            summary=f"{kind.replace('_', ' ')} of {self.loop.name} is {seen['value']:g}",
        )
        (number,) = self.ledger.receive([ask]).recorded
        self.judge(number, seen, rows=rows)
        return number

    def ask(self, reason: str, *, source: Source = Source.MANUAL, wish: Wish | None = None) -> int:
        by = "ada" if source is Source.MANUAL else None
        asked = Ask(source=source, summary=reason, by=by, wish=wish or Wish())
        number = self.ledger.ask(asked).id
        self.judge(number, HURT)
        return number

    def judge(self, number: int, seen: dict[str, float], *, rows: float = 5200) -> None:
        self.at += timedelta(seconds=1)
        told = {**seen, "matured_rows": rows}
        asked = {n: f'kontinual:{n}:value{{model="{self.loop.name}"}}' for n in told}
        alert = declared_alert(self.loop, self.ledger.trigger(number))
        asked["value"] = "" if alert is None else self.loop.condition(alert)
        queries = [
            Query(name=n, promql=asked[n], at=self.at, value=v) for n, v in told.items() if asked[n]
        ]
        evidence = Evidence(condition="it is too much", queries=queries, **told)
        self.ledger.decide([number], PolicyJudge(self.policy, {number: evidence}))

    def launch(self, number: int) -> str:
        run = self.ledger.trigger(number).run
        assert run is not None, self.ledger.trigger(number).decision
        self.at += timedelta(seconds=2)
        self.ledger.launched(run, {"pid": 4711, "url": "https://pipelines.example/runs/1"})
        return run

    def end(self, run: str, outcome: Outcome, reason: str, **more: Any) -> None:
        began = self.at
        self.at += 3 * HOUR
        record = RunRecord(
            id=run,
            loop=self.loop.name,
            trigger=str(self.ledger.run(run).trigger),
            outcome=outcome,
            reason=reason,
            started_at=began,
            ended_at=self.at,
            **more,
        )
        self.ledger.ended(record)

    def weights(self, *verdicts: str) -> list[RolloutStep]:
        return [
            RolloutStep(
                weight=weight,
                verdict=verdict,  # type: ignore[arg-type]
                requests=180 * weight,
                started_at=self.at + i * 40 * MINUTE,
                ended_at=self.at + (i + 1) * 40 * MINUTE,
            )
            for i, (weight, verdict) in enumerate(zip(WEIGHTS, verdicts, strict=False))
        ]


def write_month(past: Past) -> None:
    """What a month brings."""
    passed = ["passed"] * 4
    past.days_ago(28)
    run = past.launch(past.ask("the first model", wish=Wish(past_policy=True)))
    past.end(run, Outcome.PROMOTED, "the first champion", version="1", champion="1", span=2)
    past.days_ago(19)
    run = past.launch(past.alert("quality_decay", HURT))
    steps = past.weights(*passed)
    reason = "passed every step of the rollout"
    past.end(run, Outcome.PROMOTED, reason, version="2", champion="2", span=3, steps=steps)
    past.days_ago(15)
    past.alert("feature_drift", CALM)
    past.days_ago(11)
    run = past.launch(past.alert("quality_decay", HURT))
    steps = past.weights("passed", "failed")
    reason = "log loss of the canary rose by 0.083 at 25 %"
    past.end(run, Outcome.ROLLED_BACK, reason, version="3", champion="2", span=4, steps=steps)
    past.days_ago(8)
    run = past.launch(past.ask("every second Sunday", source=Source.SCHEDULE))
    past.end(run, Outcome.FAILED, "tune: the disk was full")
    past.days_ago(7)
    control = Control(past.ledger)
    control.pause("ada", "the disk is being replaced")
    past.days_ago(6.5)
    control.resume("ada", "it has space again")
    past.days_ago(4)
    run = past.launch(past.alert("quality_decay", HURT))
    steps = past.weights(*passed)
    reason = "passed every step of the rollout"
    past.end(run, Outcome.PROMOTED, reason, version="4", champion="4", span=5, steps=steps)
    past.days_ago(1)
    past.alert("low_confidence", CALM)
    past.days_ago(0.08)
    past.launch(past.alert("prediction_drift", HURT))
    past.days_ago(0.01)
    past.alert("new_labels", {**CALM, "value": 21000})


def notes(past: Past) -> dict[str, dict[str, Any]]:
    """What the steps of the run in progress wrote down."""
    at = past.now - 2 * HOUR
    found: dict[str, dict[str, Any]] = {}
    lengths = (("ingest", 4), ("validate", 31), ("tune", 1260), ("train", 75), ("evaluate", 12))
    for name, seconds in lengths:
        end = at + timedelta(seconds=seconds)
        found[name] = {"started_at": at.isoformat(), "ended_at": end.isoformat()}
        at = end
    return {**found, "rollout": {"started_at": at.isoformat()}}


def figures(now: datetime) -> str:
    """A month of figures as OpenMetrics: one every four minutes, the last one now."""
    lives = {"1": (28, 19), "2": (19, 4), "3": (10.9, 10.5), "4": (4, 0)}
    quality, times = [], [now - i * 4 * MINUTE for i in range(28 * 360)][::-1]
    for version, (since, until) in lives.items():
        for at in times:
            days = (now - at) / DAY
            if until <= days <= since:
                aged = (since - days) / max(since - until, 3)
                value = 0.742 - 0.045 * aged**2
                value += sum(0.003 * math.sin(days * f) for f in (2.1, 5.3, 11.7))
                quality.append((version, value - (0.05 if version == "3" else 0), at))
    lines = ["# TYPE kontinual:quality:roc_auc gauge"]
    for version, value, at in quality:
        labels = f'model="flights",version="{version}"'
        lines.append(f"kontinual:quality:roc_auc{{{labels}}} {value:.5f} {at.timestamp():.0f}")
    return "\n".join([*lines, *_latest(now), "# EOF", ""])


def _latest(now: datetime) -> Iterator[str]:
    """What an instant query sees: champion, references, drift, and 19 of 20 requests for it."""
    yield "# TYPE kontinual_champion_info gauge"
    yield f'kontinual_champion_info{{model="flights",version="4"}} 1 {now.timestamp():.0f}'
    yield "# TYPE kontinual_reference_quality gauge"
    for version in "1234":
        labels = f'model="flights",version="{version}",metric="binned_roc_auc"'
        yield f"kontinual_reference_quality{{{labels}}} 0.741 {now.timestamp():.0f}"
    yield "# TYPE kontinual:feature_psi gauge"
    drift = {"carrier": 0.31, "origin": 0.12, "hour": 0.03, "distance": 0.05, "temp": 0.9}
    for feature, value in drift.items():
        labels = f'model="flights",version="4",feature="{feature}"'
        yield f"kontinual:feature_psi{{{labels}}} {value} {now.timestamp():.0f}"
    yield "# TYPE kontinual_requests counter"
    for version, each in (("4", 190), ("5", 10)):
        for i in range(20):
            at = (now - (19 - i) * timedelta(seconds=15)).timestamp()
            labels = f'model="flights",version="{version}",code="200"'
            yield f"kontinual_requests_total{{{labels}}} {i * each} {at:.0f}"


@contextmanager
def prometheus(folder: Path, port: int, now: datetime) -> Iterator[str]:
    """A real Prometheus that scrapes nothing and knows the month."""
    text, data = folder / "figures.txt", folder / "tsdb"
    text.write_text(figures(now))
    importing = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=1000h"]
    command = [str(find_tool("promtool")), *importing, str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True)
    config = folder / "prometheus.yml"
    config.write_text("{}\n")
    command = [
        str(find_tool("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=1y",
        "--log.level=warn",
    ]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


class Champion:
    """The registry's word."""

    def champion(self) -> str:
        return "4"

    def champion_since(self) -> datetime:
        return datetime.now(UTC) - 4 * DAY


class NoLauncher:
    """Nothing is launched: no worker is at work."""

    def launch(self, run: Run) -> dict[str, Any]:
        raise AssertionError

    def outcome(self, run: Run) -> RunRecord | None:
        return None

    def stop(self, run: Run) -> None:
        raise AssertionError


class World:
    """The running service, and the ledger behind it."""

    def __init__(self, folder: Path, *, port: int, prometheus_url: str, now: datetime) -> None:
        loop, url = the_loop(), f"sqlite:///{folder}/ledger.db"
        past = Past(url, loop, now)
        write_month(past)
        past.ledger.close()
        other = Ledger(url, "fraud")
        other.ask_by_hand("try it", by="bob")
        other.close()
        self.loop = loop
        self.ledger = Ledger(url, loop.name)
        self.control = Control(self.ledger)
        self.url = f"http://127.0.0.1:{port}"
        self.page = f"{self.url}/loops/{loop.name}"
        self.notes = notes(past)
        self.server = uvicorn.Server(
            uvicorn.Config(self.app(prometheus_url), port=port, log_level="warning")
        )
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def app(self, prometheus_url: str) -> FastAPI:
        """The application, with Prometheus at an address."""
        metrics = TriggerMetrics(self.loop.name)
        watch = ChampionWatch(Champion(), metrics)
        watch.refresh()
        evidence: Any = None  # no worker is at work
        worker = Worker(
            self.ledger,
            Policy(self.loop),
            evidence=evidence,
            launcher=NoLauncher(),
            metrics=metrics,
        )
        service = TriggerService(self.loop, self.ledger, worker, metrics=metrics, champion=watch)
        credentials = [Credential.of_token(t, name=n, scopes=s) for n, (t, s) in TOKENS.items()]
        doorkeeper = Doorkeeper(credentials)
        app = build_app(service, doorkeeper=doorkeeper)
        running = self.ledger.runs()[-1].id
        add_page(
            app,
            service,
            Sessions(doorkeeper, session_key("key"), clock=utc_now),
            figures=PrometheusFigures(self.loop, prometheus_url),
            notes=lambda run_id: self.notes if run_id == running else {},
        )
        return app

    def close(self) -> None:
        self.server.should_exit = True
        self._thread.join()
        self.ledger.close()
