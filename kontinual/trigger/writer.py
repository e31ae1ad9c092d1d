"""One transaction on a loop's ledger: it appends entries and brings the state up to them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from kontinual.spec import utc_text
from kontinual.trigger import tables
from kontinual.trigger.chain import GENESIS, Entry, EntryKind, canonical_json, link

__all__ = ["Writer"]

# Made once, as every transaction needs them: to make a statement takes longer than to run it.
_MINE = tables.heads.c.loop == bindparam("of_loop")
_HEAD = select(tables.heads.c.seq, tables.heads.c.hash).where(_MINE).with_for_update()
_SET_HEAD = update(tables.heads).where(_MINE).values(seq=bindparam("seq"), hash=bindparam("hash"))


class Writer:
    """The only one who writes this loop's chain, until its transaction ends."""

    def __init__(self, connection: Connection, loop: str, clock: Callable[[], datetime]) -> None:
        """Wait for the others who write it; then is the time of all that is appended."""
        self.connection = connection
        self.loop = loop
        self._seq, self._hash = self._locked_head()
        self.now = clock()
        self._appended: list[Entry] = []

    def append(self, kind: EntryKind, *bodies: dict[str, Any]) -> None:
        """Append entries of one kind, and let the state follow; a storm brings thousands."""
        tables.project(self.connection, [self._link(kind, body) for body in bodies])

    def finish(self) -> None:
        """Write what was appended; called once, before the commit."""
        if not self._appended:
            return
        self.connection.execute(insert(tables.entries), [_row(e) for e in self._appended])
        head = {"of_loop": self.loop, "seq": self._seq, "hash": self._hash}
        self.connection.execute(_SET_HEAD, head)

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
        mine = {"of_loop": self.loop}
        found = self.connection.execute(_HEAD, mine).one_or_none()
        if found is None:
            self._begin_chain()
            found = self.connection.execute(_HEAD, mine).one()
        return found.seq, found.hash

    def _begin_chain(self) -> None:
        row = {"loop": self.loop, "seq": 0, "hash": GENESIS, "archived": 0}
        try:
            with self.connection.begin_nested():
                self.connection.execute(insert(tables.heads).values(row))
        except IntegrityError:
            return  # another writer began it at this very moment


def _row(entry: Entry) -> dict[str, Any]:
    names = ("loop", "seq", "kind", "at", "previous", "hash")
    return {name: getattr(entry, name) for name in names} | {"body": canonical_json(entry.body)}
