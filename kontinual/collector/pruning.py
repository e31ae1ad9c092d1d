"""What a store forgets, some rows at a time, and notes that it did.

Rows that were taken leave id and label behind; what waited in vain leaves nothing.
"""

import sqlalchemy as sa

from kontinual.collector.tables import early, forgotten, predictions, state, takes

__all__ = ["prune_early", "prune_taken", "prune_unlabelled"]

PRUNED_AT_ONCE = 2000


def prune_taken(tx: sa.Connection, before: float) -> int:
    """Forget rows that were taken by this Unix time; returns how many."""
    pruned = tx.scalar(sa.select(state.c.pruned)) or 0
    old = sa.select(sa.func.max(takes.c.seq)).where(takes.c.at <= before)
    end = min(tx.scalar(old) or 0, pruned + PRUNED_AT_ONCE)
    if end <= pruned:
        return 0
    gone = predictions.c.seq.between(pruned + 1, end)
    known = sa.select(predictions.c.id, predictions.c.label).where(gone)
    tx.execute(forgotten.insert().from_select(["id", "label"], known))
    tx.execute(state.update().values(pruned=end))
    tx.execute(takes.delete().where(takes.c.seq < end))
    _prune_predictions(tx, gone)
    return end - pruned


def prune_unlabelled(tx: sa.Connection, before: float) -> int:
    """Forget predictions that arrived by this Unix time and have no label; returns how many."""
    return _prune_predictions(tx, predictions.c.id.in_(_waiting(before)))


def prune_early(tx: sa.Connection, before: float) -> int:
    """Forget labels that arrived by this Unix time and have no prediction; returns how many."""
    return tx.execute(early.delete().where(early.c.id.in_(_oldest(early, before)))).rowcount


def _oldest(table: sa.Table, before: float) -> sa.Select[tuple[str]]:
    """The ids of the first that arrived, those until then."""
    arrived = table.c.arrived
    return sa.select(table.c.id).where(arrived <= before).order_by(arrived).limit(PRUNED_AT_ONCE)


def _waiting(before: float) -> sa.Select[tuple[str]]:
    return _oldest(predictions, before).where(predictions.c.label.is_(None))


def _prune_predictions(tx: sa.Connection, gone: sa.ColumnElement[bool]) -> int:
    latest = sa.select(sa.func.max(predictions.c.arrived)).where(gone).scalar_subquery()
    later = state.c.pruned_arrival < latest
    tx.execute(state.update().where(later).values(pruned_arrival=latest))
    return tx.execute(predictions.delete().where(gone)).rowcount
