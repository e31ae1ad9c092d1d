"""Reading the ledger's tables: one query each, and rows as the station's records."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from kontinual.errors import LedgerError
from kontinual.spec import utc_text
from kontinual.trigger import tables
from kontinual.trigger.chain import Entry
from kontinual.trigger.contracts import Answer, PolicyState, Run, Trigger

__all__ = [
    "all_triggers",
    "head",
    "open_triggers",
    "policy_state",
    "run",
    "runs",
    "same_alert",
    "to_entry",
    "to_run",
    "to_trigger",
    "trigger",
]

Row = Mapping[Any, Any]
NOT_OF_A_TRIGGER = {"loop", "occurrence", "answer"}


def to_trigger(row: Row) -> Trigger:
    """A row of `triggers` as a Trigger."""
    known = {name: value for name, value in row.items() if name not in NOT_OF_A_TRIGGER}
    parsed = {name: tables.from_json(row[name]) for name in ("labels", "decision")}
    return Trigger.model_validate(known | parsed)


def to_run(row: Row) -> Run:
    """A row of `runs` as a Run."""
    known = {name: value for name, value in row.items() if name != "loop"}
    parsed = {name: tables.from_json(row[name]) for name in ("process", "record")}
    return Run.model_validate(known | parsed)


def trigger(connection: Connection, loop: str, number: int) -> Trigger:
    """The trigger of this number; LedgerError when there is none."""
    table = tables.triggers
    query = select(table).where(table.c.loop == loop, table.c.id == number)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"the ledger of {loop} has no trigger {number}")
    return to_trigger(row)


def run(connection: Connection, loop: str, run_id: str) -> Run:
    """The run of this id; LedgerError when there is none."""
    table = tables.runs
    query = select(table).where(table.c.loop == loop, table.c.id == run_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"the ledger of {loop} has no run {run_id}")
    return to_run(row)


def same_alert(
    connection: Connection, loop: str, fingerprint: str, starts_at: str
) -> list[Trigger]:
    """The triggers that one alert became, oldest first."""
    table = tables.triggers
    query = select(table).where(
        table.c.loop == loop,
        table.c.fingerprint == fingerprint,
        table.c.starts_at == starts_at,
    )
    found = connection.execute(query.order_by(table.c.occurrence)).mappings().all()
    return [to_trigger(row) for row in found]


def all_triggers(connection: Connection, loop: str) -> list[Trigger]:
    """All triggers in the order they came."""
    query = select(tables.triggers).where(tables.triggers.c.loop == loop)
    return _triggers(connection, query)


def open_triggers(connection: Connection, loop: str) -> list[Trigger]:
    """The triggers that have no final decision yet."""
    table = tables.triggers
    is_open = or_(table.c.answer.is_(None), table.c.answer == Answer.HOLD.value)
    return _triggers(connection, select(table).where(table.c.loop == loop, is_open))


def runs(connection: Connection, loop: str, *, only_open: bool) -> list[Run]:
    """The runs, or those that have not ended, in the order they were accepted."""
    table = tables.runs
    query = select(table).where(table.c.loop == loop)
    if only_open:
        query = query.where(table.c.ended_at.is_(None))
    found = connection.execute(query.order_by(table.c.accepted_at, table.c.trigger))
    return [to_run(row) for row in found.mappings()]


def _triggers(connection: Connection, query: Select[Any]) -> list[Trigger]:
    found = connection.execute(query.order_by(tables.triggers.c.id))
    return [to_trigger(row) for row in found.mappings()]


def policy_state(connection: Connection, loop: str, *, since: datetime) -> PolicyState:
    """What the policy needs to know of the runs."""
    table = tables.runs
    mine = table.c.loop == loop
    running = select(table.c.id).where(mine, table.c.ended_at.is_(None)).limit(1)
    ended = select(table.c.id, table.c.ended_at).where(mine, table.c.ended_at.is_not(None))
    started = select(table.c.accepted_at).where(mine, table.c.accepted_at > utc_text(since))
    last = connection.execute(ended.order_by(table.c.ended_at.desc()).limit(1)).one_or_none()
    return PolicyState.model_validate(
        {
            "run_in_progress": connection.scalar(running),
            "last_run": last.id if last else None,
            "last_run_ended": last.ended_at if last else None,
            "started": list(connection.scalars(started.order_by(table.c.accepted_at))),
        }
    )


def to_entry(row: Row) -> Entry:
    """A row of `entries` as an Entry."""
    return Entry.model_validate({**row, "body": tables.from_json(row["body"])})


def head(connection: Connection, loop: str) -> tuple[int, str] | None:
    """Number and hash of the last entry as kept apart from the chain."""
    query = select(tables.heads.c.seq, tables.heads.c.hash).where(tables.heads.c.loop == loop)
    found = connection.execute(query).one_or_none()
    return None if found is None else (found.seq, found.hash)
