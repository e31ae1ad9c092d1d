"""The loops that share a ledger's database, each at one glance."""

from dataclasses import dataclass

from sqlalchemy import select

from kontinual.trigger import rows, tables
from kontinual.trigger.contracts import Run
from kontinual.trigger.ledger import Ledger

__all__ = ["LoopGlance", "loops"]


@dataclass(frozen=True)
class LoopGlance:
    """One loop as the ledger knows it."""

    name: str
    is_paused: bool
    held: int
    last_run: Run | None


def loops(ledger: Ledger) -> list[LoopGlance]:
    """Every loop of the database, by name. Raises LedgerError when it can not be read."""
    with ledger.reading() as connection:
        names = set(connection.scalars(select(tables.heads.c.loop))) - {tables.EVERY_LOOP}
        everywhere = rows.paused(connection, tables.EVERY_LOOP) is not None
        found = []
        for name in sorted({*names, ledger.loop}):
            runs = rows.runs(connection, name, only_open=False)
            is_paused = everywhere or rows.paused(connection, name) is not None
            held = rows.open_summary(connection, name)[1]
            found.append(LoopGlance(name, is_paused, held, runs[-1] if runs else None))
        return found
