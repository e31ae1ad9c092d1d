"""What the ledger promises, of SQLite and of a real PostgreSQL alike; and replicas that race."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError

from kontinual.errors import LedgerError
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger import (
    Ask,
    Control,
    Evidence,
    Ledger,
    Message,
    NotNow,
    Policy,
    Resolution,
    Run,
    Source,
    Worker,
    archive,
    migrate,
    rows,
)
from kontinual.trigger import database as database_module
from kontinual.trigger.audit import audit
from kontinual.trigger.chain import Entry
from kontinual.trigger.database import newest_revision
from kontinual.trigger.lease import LeaseLost
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.policy import PolicyJudge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RIPE = Evidence(condition="c", value=1.0, quality_decay=0.05, matured_rows=1e6)
Open = Callable[[], Ledger]


@pytest.fixture
def open_ledger(database: str) -> Iterator[Open]:
    """Opens the same ledger as another replica would."""
    with ExitStack() as stack:

        def opened() -> Ledger:
            ledger = Ledger(database, "flights")
            stack.callback(ledger.close)
            return ledger

        yield opened


class AllRipe:
    def gather(self, triggers: Any) -> dict[int, Evidence]:
        return {t.id: RIPE for t in triggers}


class OneAtATime:
    """A launcher that replicas share, as they share a cluster: it tells who started what."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.running: set[str] = set()
        self.most_at_once = 0
        self._lock = threading.Lock()

    def launch(self, run: Run) -> dict[str, Any]:
        with self._lock:
            if run.id not in self.started:
                self.started.append(run.id)
                self.running.add(run.id)
                self.most_at_once = max(self.most_at_once, len(self.running))
        return {"name": run.id}

    def outcome(self, run: Run) -> RunRecord:
        with self._lock:
            self.running.discard(run.id)
        now = datetime.now(UTC)
        return RunRecord(
            id=run.id,
            loop="flights",
            trigger=str(run.trigger),
            outcome=Outcome.PROMOTED,
            reason="better",
            started_at=now,
            ended_at=now,
        )

    def stop(self, run: Run) -> None:
        raise AssertionError("nobody asked for that")


def ask_of(fingerprint: str) -> Ask:
    return Ask(
        source=Source.ALERTMANAGER,
        alert="quality_decay",
        fingerprint=fingerprint,
        starts_at=NOW,
        labels={"model": "flights", "note": "ü"},
    )


def judge_of(loop: Loop) -> PolicyJudge:
    return PolicyJudge(Policy(loop), dict.fromkeys(range(1, 100), RIPE))


def test_a_story_from_alert_to_outcome_is_told_and_verified(
    open_ledger: Open, loop: Loop, tmp_path: Path
) -> None:
    ledger = open_ledger()
    assert ledger.receive([ask_of("a"), ask_of("a"), ask_of("b")]).duplicates == 1
    gone = Resolution(fingerprint="b", starts_at=NOW, ends_at=NOW)
    assert ledger.receive([], [gone]).resolved == [2]
    control = Control(ledger)
    control.pause("ana", "a holiday")
    ledger.decide([1, 2], judge_of(loop))
    assert [t.decision.rule for t in ledger.triggers() if t.decision] == ["paused", "resolved"]
    control.resume("ben", "back")
    ledger.decide([1], judge_of(loop))
    (run,) = ledger.runs()
    ledger.launched(run.id, {"pid": 1})
    assert control.stop(run.id, "ana", "too slow").stop is not None
    ledger.ended(OneAtATime().outcome(run))
    told = ledger.trigger(1)
    assert (told.run, told.labels["note"]) == (run.id, "ü")
    assert ledger.state().last_run == run.id
    before = ledger.audit()
    done = archive(ledger, before=datetime.max.replace(tzinfo=UTC), path=tmp_path / "a", by="ana")
    assert done is not None
    assert done.entries == before.entries - 1, "the last one stays"
    assert ledger.audit([tmp_path / "a"]).checked == before.entries + 1
    assert ledger.audit().archived == done.through


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_entries SET body='{}'", "DELETE FROM ledger_entries"]
)
def test_the_database_itself_refuses_to_change_the_chain(
    open_ledger: Open, database: str, statement: str
) -> None:
    open_ledger().ask_by_hand("please")
    engine = create_engine(database)
    with pytest.raises(DatabaseError, match="the ledger is append-only"), engine.begin() as raw:
        raw.execute(text(statement))
    engine.dispose()


def test_the_first_writers_of_a_chain_may_come_at_once(open_ledger: Open) -> None:
    ledgers = [open_ledger() for _ in range(4)]
    together(lambda ledger: ledger.receive([ask_of("same"), ask_of(str(id(ledger)))]), ledgers)
    assert ledgers[0].audit().triggers == 5, "what all delivered is there once"


def test_what_is_read_is_of_one_moment_whatever_is_written_meanwhile(open_ledger: Open) -> None:
    reader, other = open_ledger(), open_ledger()
    other.ask_by_hand("before")
    with reader.reading() as connection:
        before = rows.triggers(connection, "flights")
        other.ask_by_hand("meanwhile")
        assert rows.triggers(connection, "flights") == before
        told = audit(lambda: nullcontext(connection), "flights")
        assert told.triggers == 1, "nobody has altered anything"
    assert reader.audit().triggers == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_long_chain_is_verified_although_the_server_ends_silent_transactions(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "HANGING_TIMEOUT_MS", 1000)
    monkeypatch.setattr(rows, "PAGE", 1)
    ledger = open_ledger()
    for _ in range(6):
        ledger.ask_by_hand("please")

    right = Entry.expected_hash

    def slowly(entry: Entry) -> str:
        time.sleep(0.3)
        return right(entry)

    monkeypatch.setattr(Entry, "expected_hash", slowly)
    assert ledger.audit().entries == 6


def test_deliveries_that_come_at_once_are_told_each_what_became_of_it(open_ledger: Open) -> None:
    ledger = open_ledger()
    gone = Resolution(fingerprint="a", starts_at=NOW, ends_at=NOW)
    messages = [
        Message(asks=[ask_of("a"), ask_of("b")]),
        Message(asks=[ask_of("b"), ask_of("c"), ask_of("c")]),
        Message(asks=[ask_of("d")], resolutions=[gone]),
        Message(resolutions=[gone]),
    ]
    told = ledger.receive_all(messages, again_after=timedelta.max)
    assert [r.recorded for r in told] == [[1, 2], [3], [4], []]
    assert [r.duplicates for r in told] == [0, 2, 0, 0]
    assert [r.resolved for r in told] == [[], [], [1], []], "one closes what another brought, once"
    assert [t.resolved_at is None for t in ledger.triggers()] == [False, True, True, True]
    assert ledger.audit().triggers == 4


def test_persons_who_act_at_once_are_told_who_was_first(open_ledger: Open) -> None:
    ledgers = [open_ledger() for _ in range(4)]
    ledgers[0].ask_by_hand("please")
    refused: list[str] = []

    def reject(ledger: Ledger) -> None:
        try:
            Control(ledger).reject(1, "ana", "no")
        except NotNow as exc:
            refused.append(str(exc))

    together(reject, ledgers)
    assert refused == ["trigger 1 is decided already, and once is final"] * 3
    assert ledgers[0].audit().entries == 2


def test_replicas_that_race_start_each_run_once_and_one_at_a_time(
    open_ledger: Open, loop: Loop
) -> None:
    quick = loop.model_copy(
        update={
            "trigger": loop.trigger.model_copy(
                update={"cooldown": timedelta(0), "daily_budget": 10_000}
            )
        }
    )
    launcher = OneAtATime()
    ledgers = [open_ledger() for _ in range(3)]
    workers = [
        Worker(
            ledger,
            Policy(quick),
            evidence=AllRipe(),
            launcher=launcher,
            metrics=TriggerMetrics("flights"),
            pass_seconds=0.001,
            name=f"replica {i}",
        )
        for i, ledger in enumerate(ledgers)
    ]
    threads = [threading.Thread(target=w.run_forever) for w in workers]
    for thread in threads:
        thread.start()
    try:
        # Each alert is delivered to two replicas; the one at work changes now and then.
        for i in range(30):
            together(lambda ledger, i=i: ledger.receive([ask_of(str(i))]), ledgers[:2])
            if i % 10 == 9:
                next(w for w in workers if w.leads).stop()
            if sum(t.is_alive() for t in threads) <= 1:
                break
        until(
            lambda: not ledgers[0].triggers(only_open=True) and not ledgers[0].runs(only_open=True)
        )
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()
    runs = [run.id for run in ledgers[0].runs()]
    assert len(runs) > 1
    assert launcher.started == runs, "none twice, none unknown to the ledger"
    assert launcher.most_at_once == 1
    audit = ledgers[0].audit()
    assert audit.runs == len(runs)
    assert audit.triggers == len({t.fingerprint for t in ledgers[0].triggers()})


def test_a_worker_that_slept_through_its_lease_can_not_write_over_its_successor(
    open_ledger: Open, loop: Loop
) -> None:
    first, second = open_ledger(), open_ledger()
    first.ask_by_hand("please")
    lease = first.take_lease("elsewhere/1/0", timedelta(seconds=30))
    assert lease is not None
    assert second.take_lease("elsewhere/2/0", timedelta(seconds=30)) is None
    later = Ledger.__new__(Ledger)
    later.__dict__ |= second.__dict__ | {"_clock": lambda: datetime.now(UTC) + timedelta(hours=1)}
    taken = later.take_lease("elsewhere/2/0", timedelta(seconds=30))
    assert taken is not None
    assert taken.term == lease.term + 1
    with pytest.raises(LeaseLost, match=r"held by elsewhere/2/0 \(term 2\), no longer by elsewh"):
        first.decide([1], judge_of(loop), lease=lease)
    assert first.runs() == []
    assert second.decide([1], judge_of(loop), lease=taken)


def test_a_replica_that_hangs_in_a_transaction_holds_up_no_other_for_ever(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 300)
    first, second = open_ledger(), open_ledger()
    first.ask_by_hand("before")
    with first.writing(), pytest.raises(LedgerError, match=r"could not be written.*lock"):
        second.ask_by_hand("meanwhile")
    second.ask_by_hand("after")
    assert [t.summary for t in second.triggers()] == ["before", "after"]


def test_a_server_ends_the_transaction_of_a_replica_that_is_silent(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    migrate(url)
    monkeypatch.setattr(database_module, "HANGING_TIMEOUT_MS", 200)
    first, second = Ledger(url, "flights"), Ledger(url, "flights")

    def hang() -> None:
        with first.writing() as writer:
            until(lambda: second.ask_by_hand("the other goes on"))
            writer.connection.exec_driver_sql("SELECT 1")

    with pytest.raises(LedgerError, match="idle-in-transaction timeout"):
        hang()
    assert len(first.triggers()) == 1, "and the first is well again"
    first.close()
    second.close()


def test_a_servers_database_is_migrated_by_a_person_once(postgres: Any) -> None:
    url = postgres.new_database()
    with pytest.raises(LedgerError, match=r"has no tables yet.*kontinual ledger migrate"):
        Ledger(url, "flights")
    assert migrate(url) == (None, newest_revision())
    assert migrate(url) == (newest_revision(), newest_revision())
    Ledger(url, "flights").close()


def together(act: Callable[[Ledger], Any], ledgers: list[Ledger]) -> None:
    """Let all act at the same time, and all succeed."""
    failed: list[BaseException] = []
    gate = threading.Barrier(len(ledgers))

    def run(ledger: Ledger) -> None:
        try:
            gate.wait()
            act(ledger)
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=run, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
