"""The ledger's tables: the chain, its head, and the state that follows from the chain.

`triggers` and `runs` are a projection: one function, `project`, writes them in
the transaction of the entry it reads, so replaying the chain gives them again.
Times are ISO 8601 text in UTC, which sorts as time does.
"""

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    update,
)

from kontinual.trigger.chain import Entry, EntryKind, canonical_json

__all__ = [
    "METADATA",
    "create_tables",
    "entries",
    "from_json",
    "heads",
    "open_engine",
    "project",
    "runs",
    "triggers",
]

METADATA = MetaData()
LOOP = String(63)
MOMENT = String(40)
BUSY_TIMEOUT_MS = 5000

entries = Table(
    "ledger_entries",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
heads = Table(
    "ledger_heads",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
triggers = Table(
    "ledger_triggers",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("source", String(16), nullable=False),
    Column("alert", String(64)),
    Column("fingerprint", String(64)),
    Column("starts_at", MOMENT),
    Column("occurrence", Integer, nullable=False),
    Column("labels", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("received_at", MOMENT, nullable=False),
    Column("resolved_at", MOMENT),
    Column("decision", Text),
    Column("answer", String(16)),
    Column("decided_at", MOMENT),
    Column("run", String(63)),
    # Delivered twice is recorded once, whichever replica gets the second.
    UniqueConstraint("loop", "fingerprint", "starts_at", "occurrence"),
    Index("ledger_triggers_answer", "loop", "answer"),
)
runs = Table(
    "ledger_runs",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("id", String(63), primary_key=True),
    Column("trigger", Integer, nullable=False),
    Column("accepted_at", MOMENT, nullable=False),
    Column("launched_at", MOMENT),
    Column("ended_at", MOMENT),
    Column("process", Text),
    Column("record", Text),
)


def open_engine(url: str) -> Engine:
    """An engine on a ledger's database; SQLite is set to survive a power cut."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def create_tables(engine: Engine) -> None:
    """Create what is missing; on SQLite the chain refuses changes by itself."""
    METADATA.create_all(engine)
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER IF NOT EXISTS ledger_no_{verb.lower()} "
                    f"BEFORE {verb} ON ledger_entries "
                    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                )


def project(connection: Connection, entry: Entry) -> None:
    """Bring `triggers` and `runs` up to this entry."""
    body, loop = entry.body, entry.loop
    trigger = update(triggers).where(triggers.c.loop == loop, triggers.c.id == body.get("trigger"))
    run = update(runs).where(runs.c.loop == loop, runs.c.id == body.get("run"))
    match entry.kind:
        case EntryKind.TRIGGER_RECEIVED:
            connection.execute(insert(triggers).values(_received(entry)))
        case EntryKind.TRIGGER_DECIDED:
            decision = body["decision"]
            connection.execute(
                trigger.values(
                    decision=canonical_json(decision),
                    answer=decision["answer"],
                    decided_at=entry.at,
                    run=body["run"],
                )
            )
            if decision["answer"] == "accept":
                row = {"id": body["run"], "trigger": body["trigger"], "accepted_at": entry.at}
                connection.execute(insert(runs).values(loop=loop, **row))
        case EntryKind.ALERT_RESOLVED:
            connection.execute(trigger.values(resolved_at=body["ends_at"]))
        case EntryKind.RUN_LAUNCHED:
            process = canonical_json(body["process"])
            connection.execute(run.values(launched_at=entry.at, process=process))
        case EntryKind.RUN_ENDED:
            record = canonical_json(body["record"])
            connection.execute(run.values(ended_at=entry.at, record=record))


def _received(entry: Entry) -> dict[str, Any]:
    body = {name: value for name, value in entry.body.items() if name != "trigger"}
    return body | {
        "loop": entry.loop,
        "id": entry.body["trigger"],
        "received_at": entry.at,
        "labels": canonical_json(body["labels"]),
    }


def from_json(text: str | None) -> Any:
    """The value of a JSON column."""
    return None if text is None else json.loads(text)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once, so that what it read stays true until it commits."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
