"""Services that are killed again and again while alerts come, and what must be true after it."""

import itertools
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import httpx

from kontinual.spec import Loop, Outcome
from kontinual.trigger import Answer, Ledger
from tests.faults.doomed import STAGES, TOKEN, Fate, Place, start

__all__ = ["Siege", "besiege", "storm", "wait_until"]

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
LONGEST_SECONDS = 4.0  # of serving; then one whose point does not come is killed from outside
SENDERS = 8
POINTS = 11  # about as many as the transaction of a stage has

# A run: it says that it began, takes a moment, and leaves its record, whole or not at all.
RUN = """
echo "$2" >> "$0/starts"
sleep 0.1
now=2026-01-01T00:00:00Z
printf '{"id": "%s", "loop": "flights", "trigger": "%s", "outcome": "promoted", "version": "2",
"reason": "better", "started_at": "%s", "ended_at": "%s"}' "$2" "$4" $now $now > "$0/$2.draft"
mv "$0/$2.draft" "$0/$2.json"
"""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The condition's first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)
    return answer


@dataclass(frozen=True, eq=False)
class Message:
    """What is delivered until it is acknowledged: an alert, or a request for a named run."""

    name: str
    path: str
    body: dict[str, Any]
    known: int  # the answer, beside 202, that says it came before


class Siege:
    """Replicas of a service on one ledger, and an Alertmanager that delivers until it is told 202.

    Args:
        loop: whose service it is.
        folder: of everything but the ledger's database.
        ledger: the database's URL; its tables are there, or made when it is opened.
        ports: of the replicas.
    """

    def __init__(self, loop: Loop, folder: Path, ledger: str, ports: list[int]) -> None:
        self.folder, self.ports = folder, ports
        self.place = Place(loop, folder, ledger, ("/bin/sh", "-c", RUN, str(folder)))
        self.alerts: list[str] = []
        self.asked: list[str] = []
        self._waiting: dict[Message, set[int]] = {}
        self._client = httpx.Client(headers=HEADERS, timeout=30)

    def fire(self) -> None:
        """Deliver what was not acknowledged, or else a new alert; to each replica."""
        if not self._waiting:
            self.alerts.append(uuid.uuid4().hex[:16])
            self._waiting[_alert(self.alerts[-1])] = set(self.ports)
        for message, ports in list(self._waiting.items()):
            self._waiting[message] = {p for p in ports if not self._deliver(message, p)}
            if not self._waiting[message]:
                del self._waiting[message]

    @property
    def waiting(self) -> bool:
        """Is something delivered that was not acknowledged?"""
        return bool(self._waiting)

    def ask(self) -> None:
        """Let a person ask for a run of its own, of a name by which it is asked for once."""
        self.asked.append(f"asked-{uuid.uuid4().hex[:8]}")
        self._waiting[_request(self.asked[-1])] = set(self.ports)

    def _deliver(self, message: Message, port: int) -> bool:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{port}/api/v1/{message.path}"
            status = self._client.post(url, json=message.body).status_code
            assert status in {202, message.known, 503}
            return status != 503
        return False

    def settle(self) -> None:
        """Deliver all that was not acknowledged; until nothing is left to do."""

        def settled() -> bool:
            if self._waiting:
                self.fire()
                return False
            try:
                triggers, runs = self._get("triggers"), self._get("runs")
            except httpx.HTTPError:
                return False  # it is starting
            ended = {r["id"] for r in runs if r["state"] == "ended"}
            busy = len(ended) < len(runs) or not ended.issuperset(self.asked)
            return not busy and all(t["rule"] != "not_examined" for t in triggers)

        wait_until(settled, "everything is decided and all runs have ended", seconds=200)

    def _get(self, what: str) -> Any:
        answer = self._client.get(f"http://127.0.0.1:{self.ports[0]}/api/v1/{what}")
        return answer.raise_for_status().json()

    def check(self) -> None:
        """Nothing lost or doubled, one run, started once, for each accepted; a whole chain."""
        ledger = Ledger(self.place.ledger, "flights")
        try:
            ledger.audit()
            triggers, runs = ledger.triggers(), ledger.runs()
        finally:
            ledger.close()
        assert sorted(t.fingerprint for t in triggers if t.fingerprint) == sorted(self.alerts)
        assert sorted(t.wish.run for t in triggers if t.wish.run) == sorted(self.asked)
        accepted = [t.id for t in triggers if t.decision and t.decision.answer is Answer.ACCEPT]
        assert sorted(run.trigger for run in runs) == accepted
        started = (self.folder / "starts").read_text().splitlines()
        assert sorted(started) == sorted(run.id for run in runs), "each once"
        assert {run.outcome for run in runs} == {Outcome.PROMOTED}, "each was seen to its end"
        for former, later in itertools.pairwise(runs):
            assert former.ended_at is not None
            assert later.accepted_at >= former.ended_at, "one at a time"

    def close(self) -> None:
        self._client.close()


def _alert(fingerprint: str) -> Message:
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    labels = {"alertname": "Decay", "kind": "quality_decay", "model": "flights"}
    times = {"startsAt": moment, "endsAt": moment, "status": "firing"}
    alert = {"labels": labels, "fingerprint": fingerprint, **times}
    return Message(fingerprint, "alerts", {"version": "4", "alerts": [alert]}, known=202)


def _request(run: str) -> Message:
    body = {"source": "manual", "reason": "please", "past_policy": True, "run": run}
    return Message(run, "triggers", body, known=409)


class Life:
    """One process of a replica, which dies by its fate, or from outside when that does not come."""

    def __init__(self, place: Place, port: int, fate: Fate | None, patience: float) -> None:
        self._note = place.folder / f"died-{uuid.uuid4().hex}"
        self._port, self._patience = port, patience
        self._end = float("inf")
        self.process: BaseProcess = start(place, port, fate, self._note)

    def is_over(self) -> bool:
        if self.process.is_alive() and self._end == float("inf") and _listens(self._port):
            self._end = time.monotonic() + self._patience
        if time.monotonic() > self._end:
            self.kill()
        return not self.process.is_alive()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    @property
    def died(self) -> str:
        """The stage in which it killed itself, or `outside`."""
        return self._note.read_text().split(":")[0] if self._note.exists() else "outside"


def storm(siege: Siege, fate: Fate) -> list[str]:
    """The alerts that a service acknowledged of many that came at once, until its fate met it."""
    (port,) = siege.ports[:1]
    life = Life(siege.place, port, fate, float("inf"))
    try:
        wait_until(lambda: _listens(port), "it serves")
        with ThreadPoolExecutor(SENDERS) as senders:
            told = [senders.submit(_send_until_it_dies, port) for _ in range(SENDERS)]
        wait_until(life.is_over, "it died by its fate")
    finally:
        life.kill()
    return [fingerprint for sender in told for fingerprint in sender.result()]


def _send_until_it_dies(port: int) -> list[str]:
    acknowledged = []
    with httpx.Client(headers=HEADERS, timeout=30) as client, suppress(httpx.TransportError):
        while True:
            alert = _alert(uuid.uuid4().hex[:16])
            answer = client.post(f"http://127.0.0.1:{port}/api/v1/alerts", json=alert.body)
            assert answer.status_code == 202
            acknowledged.append(alert.name)
    return acknowledged


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def besiege(siege: Siege, kills: int, seed: int) -> Counter[str]:
    """Kill so many processes while alerts come; then let one of each replica live and finish.

    Returns:
        How many died in which stage.
    """
    random = Random(seed)
    deaths: Counter[str] = Counter()

    def born(port: int) -> Life:
        siege.ask()
        fate = Fate(random.choice(STAGES), random.randint(1, POINTS))
        return Life(siege.place, port, fate, random.uniform(0, LONGEST_SECONDS))

    lives = [born(port) for port in siege.ports]
    try:
        while deaths.total() < kills:
            siege.fire()
            for i, life in enumerate(lives):
                if life.is_over():
                    deaths[life.died] += 1
                    lives[i] = born(siege.ports[i])
            time.sleep(0.01)
        for i, port in enumerate(siege.ports):
            lives[i].kill()
            lives[i] = Life(siege.place, port, None, float("inf"))
        siege.settle()
    finally:
        for life in lives:
            life.kill()
    return deaths
