"""The ledger's tables: the chain, its head, and the state that follows from the chain.

`triggers`, `runs` and `controls` are a projection: one function, `project`, writes them in
the transaction of the entry it reads, so replaying the chain gives them again. `leases` is
no part of it: who works is nothing to remember. Times are ISO 8601 text in UTC, which
sorts as time does. How the tables came to be stands in `kontinual.trigger.migrations`.
"""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    update,
)

from kontinual.trigger.chain import Entry, EntryKind, canonical_json
from kontinual.trigger.contracts import Answer, RunKind

__all__ = [
    "EVERY_LOOP",
    "METADATA",
    "controls",
    "entries",
    "from_json",
    "heads",
    "leases",
    "project",
    "runs",
    "triggers",
]

EVERY_LOOP = "*"
"""The chain of what concerns all loops of a ledger; no loop can have this name."""

METADATA = MetaData()
LOOP = String(63)
MOMENT = String(40)

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
    # Up to this entry all are in archives, and may be deleted here.
    Column("archived", BigInteger, nullable=False, server_default="0"),
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
    Column("by", String(200)),
    Column("wish", Text, nullable=False, server_default="{}"),
    Column("approved", Text),
    Column("held_since", MOMENT),
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
    Column("wish", Text, nullable=False, server_default="{}"),
    Column("kind", String(16), nullable=False, server_default="retrain"),
    Column("outcome", String(16)),
    Column("stop", Text),
    Index("ledger_runs_ended", "loop", "ended_at"),
)
controls = Table(
    "ledger_controls",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("paused", Text),
    Column("circuit_closed_at", MOMENT),
)
leases = Table(
    "ledger_leases",
    METADATA,
    Column("loop", LOOP, primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
)


def project(connection: Connection, entries: Iterable[Entry]) -> None:
    """Bring `triggers`, `runs` and `controls` up to these entries."""
    for kind, same in groupby(entries, lambda entry: entry.kind):
        if kind is EntryKind.TRIGGER_RECEIVED:
            connection.execute(insert(triggers), [_received_row(entry) for entry in same])
        elif kind is EntryKind.TRIGGER_DECIDED:
            _decided(connection, list(same))
        else:
            for entry in same:
                _project_one(connection, entry)


def _project_one(connection: Connection, entry: Entry) -> None:
    body, loop = entry.body, entry.loop
    trigger = update(triggers).where(triggers.c.loop == loop, triggers.c.id == body.get("trigger"))
    run = update(runs).where(runs.c.loop == loop, runs.c.id == body.get("run"))
    match entry.kind:
        case EntryKind.TRIGGER_APPROVED:
            connection.execute(trigger.values(approved=canonical_json(body["act"])))
        case EntryKind.ALERT_RESOLVED:
            connection.execute(trigger.values(resolved_at=body["ends_at"]))
        case EntryKind.RUN_LAUNCHED:
            process = canonical_json(body["process"])
            connection.execute(run.values(launched_at=entry.at, process=process))
        case EntryKind.RUN_STOP_ASKED:
            connection.execute(run.values(stop=canonical_json(body["act"])))
        case EntryKind.RUN_ENDED:
            record = body["record"]
            ended = {"record": canonical_json(record), "outcome": record["outcome"]}
            connection.execute(run.values(ended_at=entry.at, **ended))
        case EntryKind.LOOP_PAUSED:
            _control(connection, loop, paused=canonical_json(body["act"]))
        case EntryKind.LOOP_RESUMED:
            _control(connection, loop, paused=None)
        case EntryKind.CIRCUIT_CLOSED:
            _control(connection, loop, circuit_closed_at=entry.at)


def _received_row(entry: Entry) -> dict[str, Any]:
    """The row of `triggers` that an entry of a new trigger becomes."""
    body = {name: value for name, value in entry.body.items() if name != "trigger"}
    return body | {
        "loop": entry.loop,
        "id": entry.body["trigger"],
        "received_at": entry.at,
        "by": body.get("by"),
        "labels": canonical_json(body["labels"]),
        "wish": canonical_json(body.get("wish", {})),
    }


def from_json(text: str | None) -> Any:
    """The value of a JSON column."""
    return None if text is None else json.loads(text)


# Made once: a storm brings thousands of decisions, and to make a statement is what takes the time.
_DECIDE = (
    update(triggers)
    .where(triggers.c.loop == bindparam("of_loop"), triggers.c.id == bindparam("of_trigger"))
    .values(
        decision=bindparam("decision"),
        answer=bindparam("answer"),
        decided_at=bindparam("decided_at"),
        run=bindparam("run"),
        held_since=func.coalesce(triggers.c.held_since, bindparam("held", type_=MOMENT)),
    )
)


def _decided(connection: Connection, entries: list[Entry]) -> None:
    connection.execute(_DECIDE, [_decided_row(entry) for entry in entries])
    accepted = [e for e in entries if e.body["decision"]["answer"] == Answer.ACCEPT]
    if accepted:
        connection.execute(insert(runs), [_run_row(entry) for entry in accepted])


def _decided_row(entry: Entry) -> dict[str, Any]:
    decision = entry.body["decision"]
    return {
        "of_loop": entry.loop,
        "of_trigger": entry.body["trigger"],
        "decision": canonical_json(decision),
        "answer": decision["answer"],
        "decided_at": entry.at,
        "run": entry.body["run"],
        "held": entry.at if decision["answer"] == Answer.HOLD else None,
    }


def _run_row(entry: Entry) -> dict[str, Any]:
    wish = entry.body.get("wish", {})
    return {
        "loop": entry.loop,
        "id": entry.body["run"],
        "trigger": entry.body["trigger"],
        "accepted_at": entry.at,
        "wish": canonical_json(wish),
        "kind": wish.get("kind", RunKind.RETRAIN),
    }


def _control(connection: Connection, loop: str, **values: Any) -> None:
    mine = controls.c.loop == loop
    if not connection.execute(update(controls).where(mine).values(values)).rowcount:
        connection.execute(insert(controls).values(loop=loop, **values))
