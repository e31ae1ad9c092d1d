"""The ledger: whatever is asked, decided and run, written down so that it can be trusted.

Every change is one transaction that appends entries to the chain and brings the
state (triggers, runs, controls) up to them. Accepting a trigger fixes the run's id;
launching it is a later step that can be repeated. What persons do is in
`kontinual.trigger.control`, what is moved out in `kontinual.trigger.archive`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from kontinual.errors import LedgerError
from kontinual.spec import RunRecord, utc_text
from kontinual.trigger import rows, tables
from kontinual.trigger.audit import Audit, audit, export_lines
from kontinual.trigger.chain import Entry, EntryKind
from kontinual.trigger.contracts import (
    Answer,
    Ask,
    Decision,
    LedgerDown,
    Message,
    PolicyState,
    Receipt,
    Resolution,
    Run,
    Source,
    Trigger,
    Wish,
)
from kontinual.trigger.database import BUSY_TIMEOUT_MS, for_reading, open_database
from kontinual.trigger.intake import receive
from kontinual.trigger.lease import Lease, check_lease, release_lease, take_lease
from kontinual.trigger.writer import Writer

__all__ = ["Clock", "Judge", "Ledger", "utc_now"]

Clock = Callable[[], datetime]
DOWN = (OperationalError, InterfaceError, InternalError, NoConnection)


class Judge(Protocol):
    """Decides inside the ledger's transaction; it must be quick and do no I/O."""

    def __call__(self, trigger: Trigger, state: PolicyState, now: datetime) -> Decision:
        """What to do about a trigger."""
        ...

    def run_id(self, trigger: Trigger, now: datetime) -> str:
        """The id of the run that an accepted trigger becomes."""
        ...

    def wish(self, trigger: Trigger) -> Wish:
        """What exactly the run of an accepted trigger does."""
        ...

    def joins(self, other: Trigger, accepted: Trigger) -> bool:
        """Is another open trigger answered by the run of an accepted one?"""
        ...


def utc_now() -> datetime:
    """The wall clock, to the millisecond that the ledger keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Ledger:
    """The ledger of one loop in a database that loops may share. Thread- and process-safe."""

    def __init__(
        self, url: str, loop: str, *, clock: Clock = utc_now, must_exist: bool = False
    ) -> None:
        """Open a ledger.

        Args:
            url: of the database, see `kontinual.trigger.database.open_database`.
            loop: the loop's name.
            clock: tells the time, in UTC.
            must_exist: refuse to make a new SQLite file; for those who only read.

        Raises:
            LedgerError: there is none, or the database can not be used.
        """
        self.loop = loop
        self._clock = clock
        self._engine = open_database(url, must_exist=must_exist)
        self._writing = threading.Lock()

    def close(self) -> None:
        self._engine.dispose()

    # What is asked

    def receive(
        self,
        asks: Sequence[Ask],
        resolutions: Sequence[Resolution] = (),
        *,
        again_after: timedelta = timedelta.max,
    ) -> Receipt:
        """Record one delivery whole, or (on an error) nothing of it.

        An alert is the same when fingerprint and start are; delivered again it is a
        duplicate. If it still fires `again_after` the last trigger was answered
        (suppressed, or its run ended), it asks again as a new trigger.

        Raises:
            NotNow: a run of the wished name exists.
        """
        message = Message(asks=list(asks), resolutions=list(resolutions))
        (receipt,) = self.receive_all([message], again_after=again_after)
        return receipt

    def receive_all(self, messages: Sequence[Message], *, again_after: timedelta) -> list[Receipt]:
        """Record deliveries that came at once in one transaction; else as `receive`."""
        with self.writing() as writer:
            return receive(writer, messages, again_after=again_after)

    def ask(self, ask: Ask) -> Trigger:
        """Record a request that is no alert.

        Raises:
            NotNow: a run of the wished name exists.
        """
        (number,) = self.receive([ask]).recorded
        return self.trigger(number)

    def ask_by_hand(self, reason: str, *, by: str | None = None) -> Trigger:
        """Record a person's request for a retraining as usual."""
        return self.ask(Ask(source=Source.MANUAL, summary=reason, by=by))

    # What is decided

    def decide(
        self, numbers: Sequence[int], judge: Judge, *, lease: Lease | None = None
    ) -> list[Trigger]:
        """Judge triggers in one transaction, one after another, and write the decisions down.

        One that is decided by now is passed over: once is final. A `hold` for the
        same reason as before is no news and leaves no entry. An `accept` fixes the
        run's id, and joins to it every other open trigger that asks for the same.

        Args:
            numbers: of the triggers, in the order in which they are judged.
            judge: decides.
            lease: of the worker that writes; none where there is no other.

        Returns:
            The triggers with a new decision.

        Raises:
            LeaseLost: another worker has taken over.
        """
        changed: dict[int, Trigger] = {}
        unwritten: list[dict[str, Any]] = []
        with self.writing(lease=lease) as writer:
            state = self._state(writer)
            asked = rows.some_triggers(writer.connection, self.loop, numbers)
            for number, trigger in ((n, asked[n]) for n in numbers if n in asked):
                if not trigger.is_open or number in changed:
                    continue
                decision = judge(trigger, state, writer.now)
                if not _is_news(trigger, decision):
                    continue
                if decision.answer is Answer.ACCEPT:
                    _write(writer, unwritten)
                    accepted = self._accept(writer, trigger, decision, judge)
                    changed.update((t.id, t) for t in accepted)
                    state = self._state(writer)
                else:
                    unwritten.append(decision_body(trigger, decision))
                    changed[number] = _decided(trigger, decision, writer.now)
            _write(writer, unwritten)
        return list(changed.values())

    # What is run

    def launched(self, run_id: str, process: dict[str, Any], *, lease: Lease | None = None) -> None:
        """Write down that a run was started, and where it runs."""
        with self.writing(lease=lease) as writer:
            writer.append(EntryKind.RUN_LAUNCHED, {"run": run_id, "process": process})

    def ended(self, record: RunRecord, *, lease: Lease | None = None) -> None:
        """Write down a run's outcome; a second time is no news."""
        body = {"run": record.id, "record": record.model_dump(mode="json")}
        with self.writing(lease=lease) as writer:
            if rows.run(writer.connection, self.loop, record.id).ended_at is None:
                writer.append(EntryKind.RUN_ENDED, body)

    # Who works

    def take_lease(self, holder: str, length: timedelta) -> Lease | None:
        """The right to work for this loop, kept or prolonged; None while another has it."""
        with self.writing() as writer:
            return take_lease(writer, holder, length)

    def release_lease(self, lease: Lease) -> None:
        """Give it up before its end."""
        with self.writing() as writer:
            release_lease(writer, lease)

    # What is known

    def trigger(self, number: int) -> Trigger:
        """The trigger of this number; NotThere when there is none."""
        with self.reading() as connection:
            return rows.trigger(connection, self.loop, number)

    def triggers(
        self, *, only_open: bool = False, before: int | None = None, limit: int | None = None
    ) -> list[Trigger]:
        """Triggers in the order they came; of those not only open, the last `limit` before one."""
        with self.reading() as connection:
            if only_open:
                return rows.open_triggers(connection, self.loop)
            return rows.triggers(connection, self.loop, before=before, limit=limit)

    def unseen_triggers(self, *, limit: int) -> list[Trigger]:
        """Those open ones about which something came that no decision has seen; the first ones."""
        with self.reading() as connection:
            return rows.unseen_triggers(connection, self.loop, limit=limit)

    def open_summary(self) -> tuple[datetime | None, int]:
        """When the oldest trigger without any decision came, and how many are held."""
        with self.reading() as connection:
            oldest, held = rows.open_summary(connection, self.loop)
            return None if oldest is None else datetime.fromisoformat(oldest), held

    def last_scheduled(self) -> datetime | None:
        """The moment of the last trigger of a schedule that has come; None before the first."""
        table = tables.triggers
        mine = (table.c.loop == self.loop) & (table.c.source == Source.SCHEDULE.value)
        mine &= table.c.starts_at <= utc_text(self._clock())
        with self.reading() as connection:
            found = connection.scalar(select(func.max(table.c.starts_at)).where(mine))
            return None if found is None else datetime.fromisoformat(found)

    def run(self, run_id: str) -> Run:
        """The run of this id; NotThere when there is none."""
        with self.reading() as connection:
            return rows.run(connection, self.loop, run_id)

    def runs(self, *, only_open: bool = False) -> list[Run]:
        """Runs in the order they were accepted."""
        with self.reading() as connection:
            return rows.runs(connection, self.loop, only_open=only_open)

    def state(self) -> PolicyState:
        """What the policy would be told now."""
        with self.reading() as connection:
            return rows.policy_state(connection, self.loop, now=self._clock())

    def entries(self, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """Entries of the chain behind one, in its order."""
        with self.reading() as connection:
            found = rows.entries(connection, self.loop, after=after, limit=limit)
            return [rows.to_entry(row) for row in found]

    def audit(self, archives: Sequence[Path] = ()) -> Audit:
        """Check the whole ledger, with the pauses of all loops.

        Args:
            archives: files that `kontinual ledger archive` wrote, in their order; without
                them, what they hold is taken as their checkpoint seals it.

        Raises:
            LedgerError: something was altered, removed or moved; names the first bad entry.
        """
        return audit(self.reading, self.loop, archives)

    def export(self) -> Iterator[str]:
        """The chain, one entry as JSON a line, in its order."""
        with self.reading() as connection:
            yield from export_lines(connection, self.loop)

    @contextmanager
    def writing(self, *, loop: str | None = None, lease: Lease | None = None) -> Iterator[Writer]:
        """A transaction on the chain of this loop (or another of the same database).

        Raises:
            LedgerDown: the database does not answer, or can not write now.
            LedgerError: what is written is not accepted.
        """
        try:
            with self._turn(), self._engine.begin() as connection:
                writer = Writer(connection, loop or self.loop, self._clock)
                if lease is not None:
                    check_lease(writer, lease)
                yield writer
                writer.finish()
        except DOWN as exc:
            raise LedgerDown(f"the ledger could not be written: {exc}") from exc
        except SQLAlchemyError as exc:
            raise LedgerError(f"the ledger could not be written: {exc}") from exc

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for who writes in this process: it wakes the next one, where SQLite only polls."""
        if not self._writing.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise LedgerDown("the ledger could not be written: it is being written for too long")
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read by; what it reads is of one moment."""
        try:
            with self._engine.connect() as connection:
                yield for_reading(connection)
        except SQLAlchemyError as exc:
            raise LedgerError(f"the ledger could not be read: {exc}") from exc

    def _state(self, writer: Writer) -> PolicyState:
        return rows.policy_state(writer.connection, self.loop, now=writer.now)

    def _accept(
        self, writer: Writer, trigger: Trigger, decision: Decision, judge: Judge
    ) -> list[Trigger]:
        """Make a trigger a run; it and those that the run answers too, each told so."""
        run = judge.run_id(trigger, writer.now)
        accepted = decision_body(trigger, decision, run=run, wish=judge.wish(trigger))
        writer.append(EntryKind.TRIGGER_DECIDED, accepted)
        if trigger.wish.process is not None:
            body = {"run": run, "process": trigger.wish.process}
            writer.append(EntryKind.RUN_LAUNCHED, body)
        joined = Decision(
            answer=Answer.SUPPRESS,
            rule="joined",
            reason=f"joined to trigger {trigger.id}, whose run {run} answers this one too",
        )
        waiting = rows.open_triggers(writer.connection, self.loop)
        others = [t for t in waiting if judge.joins(t, trigger)]
        told = (decision_body(other, joined, run=run) for other in others)
        writer.append(EntryKind.TRIGGER_DECIDED, *told)
        return [
            _decided(trigger, decision, writer.now, run),
            *(_decided(other, joined, writer.now, run) for other in others),
        ]


def decision_body(
    trigger: Trigger, decision: Decision, *, run: str | None = None, wish: Wish | None = None
) -> dict[str, Any]:
    """The entry of a decision.

    Args:
        trigger: what is decided about.
        decision: the decision.
        run: the run that answers the trigger, if one does.
        wish: what that run does, if the trigger became it.
    """
    body = {"trigger": trigger.id, "decision": decision.model_dump(mode="json"), "run": run}
    return body if wish is None else {**body, "wish": wish.model_dump(mode="json")}


def _decided(trigger: Trigger, decision: Decision, at: datetime, run: str | None = None) -> Trigger:
    """The trigger as it is after a decision."""
    held = at if decision.answer is Answer.HOLD else None
    now = {"decision": decision, "decided_at": at, "run": run}
    return trigger.model_copy(update={**now, "held_since": trigger.held_since or held})


def _write(writer: Writer, decisions: list[dict[str, Any]]) -> None:
    writer.append(EntryKind.TRIGGER_DECIDED, *decisions)
    decisions.clear()


def _is_news(trigger: Trigger, decision: Decision) -> bool:
    former = trigger.decision
    if former is None:
        return True
    return (former.answer, former.rule) != (decision.answer, decision.rule)
