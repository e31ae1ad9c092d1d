"""Checking a ledger from the outside: is the chain whole, and does the state follow from it?"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from kontinual.errors import LedgerError
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import GENESIS, Entry, EntryKind, check_chain

__all__ = ["Audit", "audit", "export_lines", "read_archive"]


class Audit(BaseModel):
    """A ledger that was found whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    entries: int = Field(description="number of the last entry")
    head: str
    archived: int = Field(description="so many of them are sealed in archives")
    checked: int = Field(description="so many of them were looked at, archives given included")
    triggers: int
    runs: int


def audit(connection: Connection, loop: str, archives: Sequence[Path] = ()) -> Audit:
    """Check a loop's ledger, its archives with it where they are given.

    Raises:
        LedgerError: an entry was altered, removed or moved (the first one is named), the end of
            the chain was cut off, or the state does not follow from the entries.
    """
    head = rows.head(connection, loop) or (0, GENESIS, 0)
    old = [entry for path in archives for entry in read_archive(path)]
    first = _start(connection, loop, head[2], given=bool(old))
    seq, last = check_chain(chain(old, _entries(connection, loop)), after=first)
    if (seq, last) != head[:2]:
        how = "entries were removed from its end" if head[0] > seq else "its head was altered"
        raise LedgerError(
            f"the chain ends with entry {seq}, but the head says entry {head[0]}: {how}"
        )
    entries = chain(old, _entries(connection, loop))
    counts = _check_state(connection, loop, entries, whole=first[0] == 0)
    return Audit(
        loop=loop, entries=seq, head=last, archived=head[2], checked=seq - first[0], **counts
    )


def export_lines(connection: Connection, loop: str) -> Iterator[str]:
    """The chain, one entry as JSON a line, in its order."""
    for entry in _entries(connection, loop):
        yield entry.model_dump_json()


def read_archive(path: Path) -> list[Entry]:
    """The entries of an archive; LedgerError when it can not be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Entry.model_validate_json(line) for line in lines]
    except (OSError, ValueError) as exc:
        raise LedgerError(f"{path}: no archive of a ledger can be read there: {exc}") from exc


def _start(connection: Connection, loop: str, archived: int, *, given: bool) -> tuple[int, str]:
    """What the first entry has to follow: nothing, or what a checkpoint in the chain sealed."""
    if archived == 0 or given:
        return 0, GENESIS
    for entry in _entries(connection, loop):
        if entry.kind is EntryKind.CHECKPOINT and entry.body["through"] == archived:
            return archived, entry.body["head"]
    raise LedgerError(
        f"the entries up to {archived} are gone, and no checkpoint in the chain says that "
        "they were archived: they were removed"
    )


def _entries(connection: Connection, loop: str) -> Iterator[Entry]:
    for row in rows.entries(connection, loop):
        try:
            yield rows.to_entry(row)
        except (ValidationError, ValueError) as exc:
            raise LedgerError(f"entry {row['seq']} was altered: it can not be read: {exc}") from exc


def _check_state(
    connection: Connection, loop: str, entries: Iterable[Entry], *, whole: bool
) -> dict[str, int]:
    """Replay the chain into an empty database and compare; the numbers of triggers and runs.

    Of a chain whose beginning is archived elsewhere, only what began after that can
    be compared.
    """
    scratch = create_engine("sqlite://")
    tables.METADATA.create_all(scratch)
    counts = {}
    with scratch.begin() as replayed:
        for entry in entries:
            try:
                tables.project(replayed, [entry])
            except (SQLAlchemyError, KeyError, TypeError) as exc:
                raise LedgerError(
                    f"entry {entry.seq} can not follow those before it: {exc}"
                ) from exc
        # What a control row says can come from archived entries in part.
        compared = _STATE if whole else {n: t for n, t in _STATE.items() if n != "controls"}
        for name, table in compared.items():
            expected, found = _state(replayed, table, loop), _state(connection, table, loop)
            for key in sorted(expected.keys() | found.keys() if whole else expected.keys()):
                if expected.get(key) != found.get(key):
                    raise LedgerError(f"the table of {name} was altered: see {key} in it")
            counts[name] = len(found)
    scratch.dispose()
    return {name: counts[name] for name in ("triggers", "runs")}


_STATE = {"triggers": tables.triggers, "runs": tables.runs, "controls": tables.controls}


def _state(connection: Connection, table: Table, loop: str) -> dict[Any, dict[str, Any]]:
    query = select(table).where(table.c.loop == loop)
    key = "id" if "id" in table.c else "loop"
    return {row[key]: dict(row) for row in connection.execute(query).mappings()}
