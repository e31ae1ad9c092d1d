"""The tables of a store: one SQLite file in WAL mode."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from kontinual.errors import ServiceError

__all__ = [
    "JOIN",
    "KEEP",
    "RIPE",
    "chosen",
    "connect",
    "early",
    "forgotten",
    "predictions",
    "state",
    "takes",
]

FORMAT = 3
_CHUNK = 10_000  # ids per IN (...), below SQLite's limit of variables
_metadata = sa.MetaData()
predictions = sa.Table(
    "predictions",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("arrived", sa.Float, nullable=False),  # here, as Unix time
    sa.Column("due", sa.Float, nullable=False),  # when its label's delay has passed, likewise
    sa.Column("features", sa.Text, nullable=False),
    sa.Column("label", sa.Integer),
    sa.Column("label_time", sa.Text),
    sa.Column("seq", sa.Integer, unique=True),
    sa.Index("arrivals", "arrived", "version"),
    # By `label`, for of `seq IS NULL` SQLite believes that the unique index finds few.
    sa.Index("waiting", "arrived", sqlite_where=sa.text("label IS NULL")),
    sa.Index("ripening", "due", sqlite_where=sa.text("label IS NOT NULL AND seq IS NULL")),
)
early = sa.Table(
    "early_labels",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("label", sa.Integer, nullable=False),
    sa.Column("label_time", sa.Text),
    sa.Column("arrived", sa.Float, nullable=False, index=True),
)
# What is still known of rows that are no longer kept: enough to see that one comes again.
forgotten = sa.Table(
    "forgotten",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("label", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
# One row. `taken` and `pruned` are the greatest `seq` that is in a span, or forgotten;
# `pruned_arrival` is when the latest of the forgotten predictions had arrived.
state = sa.Table(
    "state",
    _metadata,
    sa.Column("loop", sa.Text, primary_key=True),
    sa.Column("store", sa.Text, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),
    sa.Column("pruned", sa.Integer, nullable=False),
    sa.Column("pruned_arrival", sa.Float, nullable=False),
)
# When the rows up to a `seq` were taken, as Unix time.
takes = sa.Table(
    "takes",
    _metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

JOIN = (
    predictions.update()
    .where(predictions.c.id == sa.bindparam("key"))
    .values(
        label=sa.bindparam("to_label"),
        label_time=sa.bindparam("to_time"),
        seq=sa.bindparam("to_seq"),
    )
)
# In the driver's own words: with as many rows, SQLAlchemy's would cost more than SQLite does.
KEEP = (
    "INSERT INTO predictions "
    "(id, time, version, score, arrived, due, features, label, label_time, seq) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
RIPE = (
    predictions.update()
    .where(predictions.c.id == sa.bindparam("key"))
    .values(seq=sa.bindparam("to_seq"))
)


def connect(path: Path, *, loop: str) -> sa.Engine:
    """Open a store, or make one with an identity of its own.

    Raises:
        ServiceError: it is of another loop or of another version of Kontinual, or it
            can not be used.
    """
    # Errors are logged, and rows are no part of a log.
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)
    sa.event.listen(engine, "connect", _configure)
    try:
        with engine.begin() as tx:
            _open(tx, path, loop)
    except sa.exc.DatabaseError as exc:
        engine.dispose()
        raise ServiceError(f"{path}: the store can not be used: {exc.orig}") from exc
    except BaseException:
        engine.dispose()
        raise
    return engine


def _open(tx: sa.Connection, path: Path, loop: str) -> None:
    if not sa.inspect(tx).get_table_names():
        tx.exec_driver_sql("BEGIN IMMEDIATE")  # else each table would be made in its own
        _metadata.create_all(tx)
        first = {"taken": 0, "pruned": 0, "pruned_arrival": 0.0}
        tx.execute(state.insert().values(loop=loop, store=uuid4().hex, **first))
        tx.exec_driver_sql(f"PRAGMA user_version={FORMAT}")
        return
    found = tx.exec_driver_sql("PRAGMA user_version").scalar()
    if found != FORMAT:
        raise ServiceError(
            f"{path}: the store has format {found}, but this version of Kontinual has "
            f"{FORMAT}; name another --store"
        )
    owner = tx.scalar(sa.select(state.c.loop))
    if owner != loop:
        raise ServiceError(
            f"{path}: the store holds loop {owner!r}, not {loop!r}; "
            "each loop needs a --store of its own"
        )


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def chosen(
    tx: sa.Connection, query: sa.Select[Any], column: sa.Column[str], ids: Iterable[str]
) -> list[Any]:
    """The rows of a query whose column is among the ids."""
    names: list[str] = list(ids)
    found: list[Any] = []
    for start in range(0, len(names), _CHUNK):
        found += tx.execute(query.where(column.in_(names[start : start + _CHUNK]))).all()
    return found
