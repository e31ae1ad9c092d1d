"""One transaction on a loop's ledger: it appends entries and brings the state up to them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from kontinual.spec import utc_text
from kontinual.trigger import tables
from kontinual.trigger.chain import GENESIS, Entry, EntryKind, canonical_json, link

__all__ = ["Writer"]


class Writer:
    """The only one who writes this loop's chain, until its transaction ends."""

    def __init__(self, connection: Connection, loop: str, clock: Callable[[], datetime]) -> None:
        """Wait for the others who write it; then is the time of all that is appended."""
        self.connection = connection
        self.loop = loop
        self._seq, self._hash = self._locked_head()
        self.now = clock()
        self._appended: list[Entry] = []

    def append(self, kind: EntryKind, body: dict[str, Any]) -> Entry:
        """Append an entry, and let the state follow."""
        entry = self._link(kind, body)
        tables.project(self.connection, entry)
        return entry

    def receive(self, bodies: Sequence[dict[str, Any]]) -> None:
        """Append many new triggers at once; a storm brings thousands."""
        rows = [
            tables.received_row(self._link(EntryKind.TRIGGER_RECEIVED, body)) for body in bodies
        ]
        if rows:
            self.connection.execute(insert(tables.triggers), rows)

    def finish(self) -> None:
        """Write what was appended; called once, before the commit."""
        if not self._appended:
            return
        rows = [
            e.model_dump(mode="json") | {"body": canonical_json(e.body)} for e in self._appended
        ]
        self.connection.execute(insert(tables.entries), rows)
        mine = tables.heads.c.loop == self.loop
        values = {"seq": self._seq, "hash": self._hash}
        self.connection.execute(update(tables.heads).where(mine).values(values))

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry."""
        return self._seq, self._hash

    def _link(self, kind: EntryKind, body: dict[str, Any]) -> Entry:
        entry = link(
            loop=self.loop,
            seq=self._seq + 1,
            kind=kind,
            at=utc_text(self.now),
            body=body,
            previous=self._hash,
        )
        self._seq, self._hash = entry.seq, entry.hash
        self._appended.append(entry)
        return entry

    def _locked_head(self) -> tuple[int, str]:
        """Number and hash of the last entry; the row's lock orders the writers of a server."""
        query = select(tables.heads.c.seq, tables.heads.c.hash)
        query = query.where(tables.heads.c.loop == self.loop).with_for_update()
        found = self.connection.execute(query).one_or_none()
        if found is None:
            self._begin_chain()
            found = self.connection.execute(query).one()
        return found.seq, found.hash

    def _begin_chain(self) -> None:
        row = {"loop": self.loop, "seq": 0, "hash": GENESIS, "archived": 0}
        try:
            with self.connection.begin_nested():
                self.connection.execute(insert(tables.heads).values(row))
        except IntegrityError:
            return  # another writer began it at this very moment
