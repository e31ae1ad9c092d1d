"""Checking a ledger from the outside: is the chain whole, and does the state follow from it?"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import SQLAlchemyError

from kontinual.errors import LedgerError
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import GENESIS, Entry, check_chain

__all__ = ["Audit", "audit", "export_lines"]


class Audit(BaseModel):
    """A ledger that was found whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    entries: int
    head: str
    triggers: int
    runs: int


def audit(connection: Connection, loop: str) -> Audit:
    """Check a loop's ledger.

    Raises:
        LedgerError: an entry was altered, removed or moved (the first one is named), the end of
            the chain was cut off, or the state does not follow from the entries.
    """
    seq, last = check_chain(_entries(connection, loop))
    head = rows.head(connection, loop) or (0, GENESIS)
    if head != (seq, last):
        how = "entries were removed from its end" if head[0] > seq else "its head was altered"
        raise LedgerError(
            f"the chain ends with entry {seq}, but the head says entry {head[0]}: {how}"
        )
    return Audit(loop=loop, entries=seq, head=last, **_check_state(connection, loop))


def export_lines(connection: Connection, loop: str) -> Iterator[str]:
    """The chain, one entry as JSON a line, in its order."""
    for entry in _entries(connection, loop):
        yield entry.model_dump_json()


def _entries(connection: Connection, loop: str) -> Iterator[Entry]:
    table = tables.entries
    query = select(table).where(table.c.loop == loop).order_by(table.c.seq)
    for row in connection.execute(query).mappings():
        try:
            yield rows.to_entry(row)
        except (ValidationError, ValueError) as exc:
            raise LedgerError(f"entry {row['seq']} was altered: it can not be read: {exc}") from exc


def _check_state(connection: Connection, loop: str) -> dict[str, int]:
    """Replay the chain into an empty database and compare; the numbers of triggers and runs."""
    scratch = tables.open_engine("sqlite://")
    tables.create_tables(scratch)
    counts = {}
    with scratch.begin() as replayed:
        try:
            for entry in _entries(connection, loop):
                tables.project(replayed, entry)
        except (SQLAlchemyError, KeyError, TypeError) as exc:
            raise LedgerError(f"entry {entry.seq} can not follow those before it: {exc}") from exc
        for name, table in (("triggers", tables.triggers), ("runs", tables.runs)):
            expected, found = _state(replayed, table, loop), _state(connection, table, loop)
            for key in sorted(expected.keys() | found.keys()):
                if expected.get(key) != found.get(key):
                    raise LedgerError(f"the table of {name} was altered: see {key} in it")
            counts[name] = len(found)
    scratch.dispose()
    return counts


def _state(connection: Connection, table: Table, loop: str) -> dict[Any, dict[str, Any]]:
    query = select(table).where(table.c.loop == loop)
    return {row["id"]: dict(row) for row in connection.execute(query).mappings()}
