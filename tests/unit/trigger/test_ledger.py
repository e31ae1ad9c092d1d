import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kontinual.errors import LedgerError
from kontinual.spec import Outcome, RunRecord
from kontinual.trigger import (
    Answer,
    Ask,
    Control,
    Decision,
    Ledger,
    PolicyState,
    Resolution,
    Trigger,
    Wish,
    rows,
)
from kontinual.trigger.writer import Writer

HOUR = timedelta(hours=1)
MakeAsk = Callable[..., Ask]


class FixedJudge:
    """A judge with one answer."""

    def __init__(self, answer: Answer, *, rule: str = "r") -> None:
        self.decision = Decision(answer=answer, rule=rule, reason="because")
        self.seen: list[PolicyState] = []

    def __call__(self, trigger: Trigger, state: PolicyState, now: datetime) -> Decision:
        self.seen.append(state)
        return self.decision

    def run_id(self, trigger: Trigger, now: datetime) -> str:
        return f"toy-{trigger.id}"

    def wish(self, trigger: Trigger) -> Wish:
        return trigger.wish

    def joins(self, other: Trigger, accepted: Trigger) -> bool:
        return other.alert != "low_confidence"


ACCEPT, SUPPRESS, HOLD = (FixedJudge(a) for a in (Answer.ACCEPT, Answer.SUPPRESS, Answer.HOLD))


def record_of(run: str, at: datetime) -> RunRecord:
    return RunRecord(
        id=run,
        loop="toy",
        trigger="1",
        outcome=Outcome.PROMOTED,
        reason="better",
        started_at=at,
        ended_at=at,
    )


def test_an_alert_delivered_twice_is_one_trigger(ledger: Ledger, ask: MakeAsk) -> None:
    assert ledger.receive([ask(), ask()]).recorded == [1]
    again = ledger.receive([ask(), ask(fingerprint="bb")], again_after=HOUR)
    assert (again.recorded, again.duplicates) == ([2], 1)


def test_an_alert_that_starts_anew_is_a_new_trigger(ledger: Ledger, ask: MakeAsk, clock) -> None:
    ledger.receive([ask()])
    assert ledger.receive([ask(starts_at=clock() + HOUR)]).recorded == [2]


def test_a_still_firing_alert_asks_again_only_when_its_answer_is_old(
    ledger: Ledger, ask: MakeAsk, clock
) -> None:
    ledger.receive([ask()])
    clock.advance(hours=9)
    assert ledger.receive([ask()], again_after=HOUR).duplicates == 1, "still open"
    ledger.decide([1], SUPPRESS)
    assert ledger.receive([ask()], again_after=HOUR).duplicates == 1, "answered just now"
    clock.advance(hours=1)
    assert ledger.receive([ask(repeats=False)], again_after=HOUR).duplicates == 1, "told once"
    assert ledger.receive([ask()], again_after=HOUR).recorded == [2]
    assert ledger.receive([ask()], again_after=HOUR).duplicates == 1


def test_an_accepted_alert_asks_again_only_after_its_run(
    ledger: Ledger, ask: MakeAsk, clock
) -> None:
    ledger.receive([ask()])
    ledger.decide([1], ACCEPT)
    clock.advance(hours=9)
    assert ledger.receive([ask()], again_after=HOUR).duplicates == 1
    ledger.ended(record_of("toy-1", clock()))
    clock.advance(hours=1)
    assert ledger.receive([ask()], again_after=HOUR).recorded == [2]


def test_a_delivery_reads_its_own_alerts_however_often_they_fired_before(
    ledger: Ledger, ask: MakeAsk, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [clock() + i * HOUR for i in range(30)]
    for moment in moments:
        ledger.receive([ask(starts_at=moment), ask(fingerprint="bb", starts_at=moment)])
    read, to_trigger = [], rows.to_trigger
    monkeypatch.setattr(rows, "to_trigger", lambda row: read.append(row["id"]) or to_trigger(row))
    receipt = ledger.receive([ask(starts_at=moments[3]), ask(fingerprint="bb")])
    assert (receipt.duplicates, sorted(read)) == (2, [2, 7])


def test_a_delivery_of_more_alerts_than_one_question_holds_is_known_again(
    ledger: Ledger, ask: MakeAsk, clock
) -> None:
    alerts = [ask(fingerprint=f"f{i}", starts_at=clock() + i * HOUR) for i in range(600)]
    assert len(ledger.receive(alerts).recorded) == 600
    assert ledger.receive(alerts).duplicates == 600


def test_who_asks_what_is_open_reads_nothing_of_what_is_decided(
    ledger: Ledger, ask: MakeAsk, clock
) -> None:
    def effort() -> int:
        """Steps of SQLite's machine, in hundreds."""
        steps: list[None] = []
        with ledger.reading() as connection:
            driver = connection.connection.driver_connection
            driver.set_progress_handler(lambda: steps.append(None), 100)
            try:
                assert len(rows.open_triggers(connection, "toy")) == 1
                assert len(rows.unseen_triggers(connection, "toy", limit=9)) == 1
                assert rows.open_summary(connection, "toy")[1] == 0
            finally:
                driver.set_progress_handler(None, 0)
        return len(steps)

    ledger.receive([ask()])
    alone = effort()
    more = ledger.receive([ask(starts_at=clock() + (i + 1) * HOUR) for i in range(500)])
    ledger.decide(more.recorded, SUPPRESS)
    assert effort() < alone + 20, "each decided one would cost dozens of steps"


def test_a_resolved_alert_closes_and_never_starts(ledger: Ledger, ask: MakeAsk, clock) -> None:
    gone = Resolution(fingerprint="aa", starts_at=clock(), ends_at=clock() + HOUR)
    assert ledger.receive([], [gone]).resolved == []
    ledger.receive([ask()])
    assert ledger.receive([], [gone]).resolved == [1]
    assert ledger.trigger(1).resolved_at == clock() + HOUR
    assert ledger.receive([], [gone]).resolved == [], "told once"
    assert ledger.triggers() == [ledger.trigger(1)]


def test_a_trigger_has_one_final_decision(ledger: Ledger) -> None:
    ledger.ask_by_hand("new routes")
    ledger.decide([1], HOLD)
    ledger.decide([1], SUPPRESS)
    assert ledger.decide([1], ACCEPT) == [], "once is final"
    assert ledger.trigger(1).decision == SUPPRESS.decision
    assert ledger.runs() == []


def test_a_hold_is_written_down_again_only_when_its_rule_changes(ledger: Ledger) -> None:
    ledger.ask_by_hand("new routes")
    assert [t.id for t in ledger.decide([1], HOLD)] == [1]
    assert ledger.decide([1], HOLD) == []
    assert len(list(ledger.export())) == 2
    assert [t.id for t in ledger.decide([1], FixedJudge(Answer.HOLD, rule="other"))] == [1]
    assert len(list(ledger.export())) == 3


def test_accepting_fixes_the_run_and_joins_whoever_asks_for_the_same(
    ledger: Ledger, ask: MakeAsk
) -> None:
    ledger.receive([ask(), ask("low_confidence", fingerprint="bb"), ask(fingerprint="cc")])
    assert [t.id for t in ledger.decide([1], ACCEPT)] == [1, 3]
    (run,) = ledger.runs()
    assert (run.id, run.trigger, run.state) == ("toy-1", 1, "accepted")
    joined = ledger.trigger(3).decision
    assert joined is not None
    assert joined.reason == "joined to trigger 1, whose run toy-1 answers this one too"
    assert ledger.trigger(2).is_open


def test_a_judge_sees_the_runs(ledger: Ledger, clock) -> None:
    judge = FixedJudge(Answer.ACCEPT)
    started = clock()
    ledger.ask_by_hand("one")
    ledger.decide([1], judge)
    ledger.launched("toy-1", {"pid": 7})
    clock.advance(hours=1)
    ledger.ended(record_of("toy-1", clock()))
    ledger.ended(record_of("toy-1", clock()))  # a second time is no news
    ledger.ask_by_hand("two")
    ledger.decide([2], judge)
    assert judge.seen == [
        PolicyState(),
        PolicyState(last_run="toy-1", last_run_ended=clock(), started=[started]),
    ]
    assert ledger.runs()[0].process == {"pid": 7}
    assert ledger.audit().entries == 6


def test_a_delivery_is_recorded_whole_or_not_at_all(
    ledger: Ledger, ask: MakeAsk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(writer: Writer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "finish", fails)
    with pytest.raises(KeyboardInterrupt):
        ledger.receive([ask(), ask(fingerprint="bb")])
    monkeypatch.undo()
    assert ledger.triggers() == []
    assert ledger.receive([ask(), ask(fingerprint="bb")]).recorded == [1, 2]
    assert ledger.audit().entries == 2


def test_many_writers_at_once_leave_one_whole_chain(tmp_path: Path, ask: MakeAsk) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    Ledger(url, "toy").close()

    def write(name: int) -> None:
        mine = Ledger(url, "toy")
        for i in range(5):
            mine.receive([ask(fingerprint=f"{name}-{i}"), ask(fingerprint=f"all-{i}")])
        mine.close()

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = Ledger(url, "toy")
    assert ledger.audit().triggers == 4 * 5 + 5, "what all delivered is there once"
    ledger.close()


def test_loops_share_a_database_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    one, two = Ledger(url, "one"), Ledger(url, "two")
    one.ask_by_hand("for one")
    assert two.triggers() == []
    assert two.ask_by_hand("for two").id == 1
    assert (one.audit().entries, two.audit().entries) == (1, 1)
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE ledger_entries SET body=replace(body,'two','2!') WHERE seq=2", "entry 2 .*alter"),
        ("UPDATE ledger_entries SET body='{' WHERE seq=2", "entry 2 was altered: it can not be"),
        ("UPDATE ledger_entries SET kind='x' WHERE seq=2", "entry 2 was altered: it can not be"),
        ("DELETE FROM ledger_entries WHERE seq=2", "entry 2 is missing"),
        ("DELETE FROM ledger_entries WHERE seq=6", "entries were removed from its end"),
        ("UPDATE ledger_triggers SET summary='x' WHERE id=3", "table of triggers was altered"),
        ("DELETE FROM ledger_runs", "table of runs was altered: see toy-1"),
        ("DELETE FROM ledger_triggers WHERE id=2", "table of triggers was altered: see 2"),
    ],
)
def test_an_audit_finds_what_was_tampered_with(
    ledger: Ledger, tmp_path: Path, change: str, complaint: str
) -> None:
    for reason in ("one", "two", "three"):
        ledger.ask_by_hand(reason)
    ledger.decide([1], ACCEPT)
    ledger.audit()
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as raw:
        raw.execute("DROP TRIGGER ledger_no_update")
        raw.execute("DROP TRIGGER ledger_no_delete")
        raw.execute(change)
    raw.close()
    with pytest.raises(LedgerError, match=complaint):
        ledger.audit()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("UPDATE ledger_entries SET body=replace(body,'ana','bob') WHERE loop='*'", "1 .*altered"),
        ("UPDATE ledger_controls SET paused=NULL WHERE loop='*'", "table of controls was altered"),
        ("DELETE FROM ledger_controls WHERE loop='*'", "table of controls was altered"),
        ("DELETE FROM ledger_entries WHERE loop='*'", "entries were removed from its end"),
    ],
)
def test_an_audit_finds_what_was_tampered_with_in_the_pauses_of_all_loops(
    ledger: Ledger, tmp_path: Path, change: str, complaint: str
) -> None:
    ledger.ask_by_hand("one")
    Control(ledger).pause("ana", "stop everything", everywhere=True)
    told = ledger.audit()
    assert told.everywhere is not None
    assert (told.entries, told.everywhere.entries) == (1, 1)
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as raw:
        raw.execute("DROP TRIGGER ledger_no_update")
        raw.execute("DROP TRIGGER ledger_no_delete")
        raw.execute(change)
    raw.close()
    with pytest.raises(LedgerError, match=rf"the chain of all loops .*{complaint}"):
        ledger.audit()


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_chain_is_read_page_by_page_and_whole(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(rows, "PAGE", page)
    for reason in ("one", "two", "three", "four"):
        ledger.ask_by_hand(reason)
    assert [e.seq for e in ledger.entries()] == [1, 2, 3, 4]
    assert [e.seq for e in ledger.entries(after=1, limit=2)] == [2, 3]
    assert ledger.entries(limit=0) == []
    assert ledger.audit().entries == 4


@pytest.mark.parametrize("change", ["DELETE FROM", "UPDATE"])
def test_the_database_itself_refuses_to_change_an_entry(
    ledger: Ledger, tmp_path: Path, change: str
) -> None:
    ledger.ask_by_hand("one")
    statement = f"{change} ledger_entries {'SET body=1' if change == 'UPDATE' else ''}"
    with sqlite3.connect(tmp_path / "ledger.db") as raw:  # noqa: SIM117
        with pytest.raises(sqlite3.IntegrityError, match="the ledger is append-only"):
            raw.execute(statement)
    raw.close()


def test_an_entry_is_on_the_disk_before_it_counts(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    assert (journal, synchronous) == ("wal", 2)


def test_a_ledger_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="not a SQLAlchemy URL"):
        Ledger("nonsense", "toy")
    with pytest.raises(LedgerError, match=r"there is no ledger; has the trigger service run"):
        Ledger(f"sqlite:///{tmp_path}/none.db", "toy", must_exist=True)
    (tmp_path / "text.db").write_text("no database at all, but text, long enough to be one" * 9)
    with pytest.raises(LedgerError, match=r"can not be opened.*not a database"):
        Ledger(f"sqlite:///{tmp_path}/text.db", "toy")
