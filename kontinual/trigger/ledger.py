"""The ledger: whatever is asked, decided and run, written down so that it can be trusted.

Every change is one transaction that appends entries to the chain and brings the
state (triggers, runs) up to them. Accepting a trigger fixes the run's id;
launching it is a later step that can be repeated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from kontinual.errors import LedgerError
from kontinual.spec import RunRecord, utc_text
from kontinual.trigger import rows, tables
from kontinual.trigger.audit import Audit, audit, export_lines
from kontinual.trigger.chain import GENESIS, EntryKind, canonical_json, link
from kontinual.trigger.contracts import (
    Answer,
    Ask,
    Decision,
    PolicyState,
    Receipt,
    Resolution,
    Run,
    Source,
    Trigger,
)

__all__ = ["Clock", "Judge", "Ledger", "utc_now"]

Clock = Callable[[], datetime]
DAY = timedelta(days=1)


class Judge(Protocol):
    """Decides inside the ledger's transaction; it must be quick and do no I/O."""

    def __call__(self, trigger: Trigger, state: PolicyState, now: datetime) -> Decision:
        """What to do about a trigger."""
        ...

    def run_id(self, trigger: Trigger, now: datetime) -> str:
        """The id of the run that an accepted trigger becomes."""
        ...

    def joins(self, other: Trigger) -> bool:
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
        """Open a ledger, and create its tables where they are missing.

        Args:
            url: SQLAlchemy's, such as `sqlite:////var/lib/kontinual/ledger.db`.
            loop: the loop's name.
            clock: tells the time, in UTC.
            must_exist: refuse to make a new SQLite file; for those who only read.

        Raises:
            LedgerError: there is none, or the database can not be used.
        """
        self.loop = loop
        self._clock = clock
        _prepare_file(url, must_exist=must_exist)
        try:
            self._engine = tables.open_engine(url)
            tables.create_tables(self._engine)
        except (SQLAlchemyError, ArgumentError, ImportError) as exc:
            raise LedgerError(f"ledger {_masked(url)}: it can not be opened: {exc}") from exc

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
        """
        recorded: list[int] = []
        with self._writing() as (connection, now):
            for ask in asks:
                occurrence = self._occurrence(connection, ask, now, again_after)
                if occurrence is not None:
                    recorded.append(self._record(connection, now, ask, occurrence))
            closed = [n for r in resolutions for n in self._resolve(connection, now, r)]
        return Receipt(recorded=recorded, duplicates=len(asks) - len(recorded), resolved=closed)

    def ask_by_hand(self, reason: str) -> Trigger:
        """Record a person's request."""
        (number,) = self.receive([Ask(source=Source.MANUAL, summary=reason)]).recorded
        return self.trigger(number)

    # What is decided

    def decide(self, number: int, judge: Judge) -> list[Trigger]:
        """Judge an open trigger in one transaction and write the decision down.

        A `hold` for the same reason as before is no news and leaves no entry. An
        `accept` fixes the run's id, and joins to it every other open trigger that
        asks for the same.

        Returns:
            The triggers with a new decision: none, this one, or this one and those joined to it.

        Raises:
            LedgerError: the trigger has its final decision already.
        """
        with self._writing() as (connection, now):
            trigger = rows.trigger(connection, self.loop, number)
            if not trigger.is_open:
                raise LedgerError(f"trigger {number} is decided already, and once is final")
            state = rows.policy_state(connection, self.loop, since=now - DAY)
            decision = judge(trigger, state, now)
            if not _is_news(trigger, decision):
                return []
            changed = [number]
            if decision.answer is not Answer.ACCEPT:
                self._decided(connection, now, number, decision, None)
            else:
                run = judge.run_id(trigger, now)
                self._decided(connection, now, number, decision, run)
                changed += self._join_others(connection, now, number, run, judge)
            return [rows.trigger(connection, self.loop, n) for n in changed]

    # What is run

    def launched(self, run_id: str, process: dict[str, Any]) -> None:
        """Write down that a run was started, and where it runs."""
        body = {"run": run_id, "process": process}
        with self._writing() as (connection, now):
            self._append(connection, now, EntryKind.RUN_LAUNCHED, body)

    def ended(self, record: RunRecord) -> None:
        """Write down a run's outcome; a second time is no news."""
        body = {"run": record.id, "record": record.model_dump(mode="json")}
        with self._writing() as (connection, now):
            if rows.run(connection, self.loop, record.id).ended_at is None:
                self._append(connection, now, EntryKind.RUN_ENDED, body)

    # What is known

    def trigger(self, number: int) -> Trigger:
        """The trigger of this number; LedgerError when there is none."""
        with self._reading() as connection:
            return rows.trigger(connection, self.loop, number)

    def triggers(self, *, only_open: bool = False) -> list[Trigger]:
        """Triggers in the order they came."""
        read = rows.open_triggers if only_open else rows.all_triggers
        with self._reading() as connection:
            return read(connection, self.loop)

    def runs(self, *, only_open: bool = False) -> list[Run]:
        """Runs in the order they were accepted."""
        with self._reading() as connection:
            return rows.runs(connection, self.loop, only_open=only_open)

    def audit(self) -> Audit:
        """Check the whole ledger.

        Raises:
            LedgerError: something was altered, removed or moved; names the first bad entry.
        """
        with self._reading() as connection:
            return audit(connection, self.loop)

    def export(self) -> Iterator[str]:
        """The chain, one entry as JSON a line, in its order."""
        with self._reading() as connection:
            yield from export_lines(connection, self.loop)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, datetime]]:
        try:
            with self._engine.begin() as connection:
                yield connection, self._clock()
        except SQLAlchemyError as exc:
            raise LedgerError(f"the ledger could not be written: {exc}") from exc

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(reading=True) as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise LedgerError(f"the ledger could not be read: {exc}") from exc

    def _append(
        self, connection: Connection, now: datetime, kind: EntryKind, body: dict[str, Any]
    ) -> None:
        seq, previous = self._head(connection)
        entry = link(
            loop=self.loop, seq=seq + 1, kind=kind, at=utc_text(now), body=body, previous=previous
        )
        row = entry.model_dump(mode="json") | {"body": canonical_json(body)}
        connection.execute(insert(tables.entries).values(row))
        mine = tables.heads.c.loop == self.loop
        connection.execute(update(tables.heads).where(mine).values(seq=entry.seq, hash=entry.hash))
        tables.project(connection, entry)

    def _head(self, connection: Connection) -> tuple[int, str]:
        """Number and hash of the last entry; the row's lock orders the writers of a server."""
        query = select(tables.heads.c.seq, tables.heads.c.hash)
        query = query.where(tables.heads.c.loop == self.loop).with_for_update()
        found = connection.execute(query).one_or_none()
        if found is None:
            row = {"loop": self.loop, "seq": 0, "hash": GENESIS}
            connection.execute(insert(tables.heads).values(row))
            return 0, GENESIS
        return found.seq, found.hash

    def _record(self, connection: Connection, now: datetime, ask: Ask, occurrence: int) -> int:
        column = tables.triggers.c.id
        last = connection.scalar(
            select(func.max(column)).where(tables.triggers.c.loop == self.loop)
        )
        number: int = (last or 0) + 1
        body = ask.model_dump(mode="json", exclude={"repeats"}) | {
            "trigger": number,
            "starts_at": None if ask.starts_at is None else utc_text(ask.starts_at),
            "occurrence": occurrence,
        }
        self._append(connection, now, EntryKind.TRIGGER_RECEIVED, body)
        return number

    def _occurrence(
        self, connection: Connection, ask: Ask, now: datetime, again_after: timedelta
    ) -> int | None:
        """How often this alert asked before; None when it is a duplicate."""
        if ask.fingerprint is None or ask.starts_at is None:
            return 0
        former = rows.same_alert(connection, self.loop, ask.fingerprint, utc_text(ask.starts_at))
        if not former:
            return 0
        answered = self._answered_at(connection, former[-1])
        if not ask.repeats or answered is None or now - answered < again_after:
            return None
        return len(former)

    def _answered_at(self, connection: Connection, trigger: Trigger) -> datetime | None:
        """When a trigger was suppressed or its run ended; None while it is open."""
        if trigger.is_open:
            return None
        if trigger.run is None:
            return trigger.decided_at
        return rows.run(connection, self.loop, trigger.run).ended_at

    def _resolve(self, connection: Connection, now: datetime, resolution: Resolution) -> list[int]:
        starts_at = utc_text(resolution.starts_at)
        same = rows.same_alert(connection, self.loop, resolution.fingerprint, starts_at)
        numbers = [t.id for t in same if t.resolved_at is None]
        for number in numbers:
            body = {"trigger": number, "ends_at": utc_text(resolution.ends_at)}
            self._append(connection, now, EntryKind.ALERT_RESOLVED, body)
        return numbers

    def _decided(
        self,
        connection: Connection,
        now: datetime,
        number: int,
        decision: Decision,
        run: str | None,
    ) -> None:
        body = {"trigger": number, "decision": decision.model_dump(mode="json"), "run": run}
        self._append(connection, now, EntryKind.TRIGGER_DECIDED, body)

    def _join_others(
        self, connection: Connection, now: datetime, number: int, run: str, judge: Judge
    ) -> list[int]:
        """One run answers all that ask for one; each of them is told so."""
        decision = Decision(
            answer=Answer.SUPPRESS,
            rule="joined",
            reason=f"joined to trigger {number}, whose run {run} answers this one too",
        )
        others = [t for t in rows.open_triggers(connection, self.loop) if judge.joins(t)]
        for other in others:
            self._decided(connection, now, other.id, decision, run)
        return [other.id for other in others]


def _is_news(trigger: Trigger, decision: Decision) -> bool:
    former = trigger.decision
    if former is None:
        return True
    return (former.answer, former.rule) != (decision.answer, decision.rule)


def _prepare_file(url: str, *, must_exist: bool) -> None:
    """Make the folder of a SQLite file, or insist on the file."""
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise LedgerError(f"ledger {url!r}: not a SQLAlchemy URL such as sqlite:///FILE") from exc
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return
    path = Path(str(parsed.database))
    if must_exist and not path.is_file():
        raise LedgerError(f"{path}: there is no ledger; has the trigger service run here?")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise LedgerError(f"{path.parent}: no folder for the ledger can be made: {exc}") from exc


def _masked(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
