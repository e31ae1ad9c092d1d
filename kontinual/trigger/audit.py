"""Checking a ledger from the outside: is the chain whole, and does the state follow from it?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from kontinual.errors import LedgerError
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import GENESIS, Entry, EntryKind, check_chain

__all__ = ["Audit", "audit", "export_lines", "read_archive"]


Reading = Callable[[], AbstractContextManager[Connection]]
"""A connection for a transaction that only reads, all of it as of one moment."""


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
    everywhere: "Audit | None" = Field(
        default=None, description="of the chain of all loops, where the kill switch is"
    )


def audit(reading: Reading, loop: str, archives: Sequence[Path] = ()) -> Audit:
    """Check a loop's ledger with what holds for all loops, and its archives where they are given.

    Nothing that takes long is done inside the transaction without reading on: a server ends one
    whose client is silent.

    Raises:
        LedgerError: an entry was altered, removed or moved (the first one is named), the end of
            the chain was cut off, or the state does not follow from the entries.
    """
    with closing(_Replay(loop, archives)) as mine, closing(_Replay(tables.EVERY_LOOP)) as all_loops:
        with reading() as connection:
            mine.follow(connection)
            with _of_all_loops():
                all_loops.follow(connection)
        with _of_all_loops():
            everywhere = all_loops.compared()
        return mine.compared().model_copy(update={"everywhere": everywhere})


@contextmanager
def _of_all_loops() -> Iterator[None]:
    try:
        yield
    except LedgerError as exc:
        raise LedgerError(f"the chain of all loops (pauses by --all): {exc}") from exc


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


class _Replay:
    """One chain, checked and replayed into an empty database, to be compared with the state."""

    def __init__(self, loop: str, archives: Sequence[Path] = ()) -> None:
        """Begin with the archives, which nothing of the ledger is needed for."""
        self._loop = loop
        self._scratch = create_engine("sqlite://")
        tables.METADATA.create_all(self._scratch)
        self._first = self._last = (0, GENESIS)
        old = [entry for path in archives for entry in read_archive(path)]
        self._given = bool(old)
        self._take(old)

    def close(self) -> None:
        self._scratch.dispose()

    def follow(self, connection: Connection) -> None:
        """Go through the ledger's own entries, and keep the state that it shows."""
        seq, last, self._archived = rows.head(connection, self._loop) or (0, GENESIS, 0)
        if not self._given:
            self._first = self._last = _start(connection, self._loop, self._archived)
        for page in _pages(_entries(connection, self._loop)):
            self._take(page)
        if self._last != (seq, last):
            found = self._last[0]
            how = "entries were removed from its end" if seq > found else "its head was altered"
            raise LedgerError(
                f"the chain ends with entry {found}, but the head says entry {seq}: {how}"
            )
        self._found = {n: _state(connection, table, self._loop) for n, table in _STATE.items()}

    def compared(self) -> Audit:
        """The ledger as it was found, if its state follows from its entries.

        Of a chain whose beginning is archived elsewhere, only what began after that can
        be compared.
        """
        whole = self._first[0] == 0
        # What a control row says can come from archived entries in part.
        names = [name for name in _STATE if whole or name != "controls"]
        with self._scratch.begin() as replayed:
            for name in names:
                expected, found = _state(replayed, _STATE[name], self._loop), self._found[name]
                for key in sorted(expected.keys() | found.keys() if whole else expected.keys()):
                    if expected.get(key) != found.get(key):
                        raise LedgerError(f"the table of {name} was altered: see {key} in it")
        seq, head = self._last
        return Audit(
            loop=self._loop,
            entries=seq,
            head=head,
            archived=self._archived,
            checked=seq - self._first[0],
            triggers=len(self._found["triggers"]),
            runs=len(self._found["runs"]),
        )

    def _take(self, entries: Sequence[Entry]) -> None:
        self._last = check_chain(entries, after=self._last)
        with self._scratch.begin() as replayed:
            for entry in entries:
                try:
                    tables.project(replayed, [entry])
                except (SQLAlchemyError, KeyError, TypeError) as exc:
                    raise LedgerError(
                        f"entry {entry.seq} can not follow those before it: {exc}"
                    ) from exc


def _start(connection: Connection, loop: str, archived: int) -> tuple[int, str]:
    """What the first entry has to follow: nothing, or what a checkpoint in the chain sealed."""
    if archived == 0:
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


def _pages(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while page := list(islice(entries, rows.PAGE)):
        yield page


_STATE = {"triggers": tables.triggers, "runs": tables.runs, "controls": tables.controls}


def _state(connection: Connection, table: Table, loop: str) -> dict[Any, dict[str, Any]]:
    query = select(table).where(table.c.loop == loop)
    key = "id" if "id" in table.c else "loop"
    return {row[key]: dict(row) for row in connection.execute(query).mappings()}
