"""What the collector keeps: predictions, labels that came early, and how far the lake has read.

One SQLite file in WAL mode. A method that returns has committed to disk, so
nothing that was acknowledged is lost by a kill. One process owns the file (a lock
beside it says so); calls from its threads are serialised.

A prediction matures when its label joins it: it then gets the next `seq`,
counted from 1 without gaps, which is the order in which examples are read.
"""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout

from kontinual.errors import ServiceError
from kontinual.spec import LabelRecord

__all__ = ["Example", "Ingested", "Labelled", "Matured", "Prediction", "Store", "StoreCounts"]

_CHUNK = 500  # ids per IN (...), below SQLite's limit of variables
_metadata = sa.MetaData()
_predictions = sa.Table(
    "predictions",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("features", sa.Text, nullable=False),
    sa.Column("label", sa.Integer),
    sa.Column("label_time", sa.Text),
    sa.Column("seq", sa.Integer, unique=True),
)
_early = sa.Table(
    "early_labels",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("label", sa.Integer, nullable=False),
    sa.Column("label_time", sa.Text),
)
_cursor = sa.Table(
    "cursor",
    _metadata,
    sa.Column("loop", sa.Text, primary_key=True),
    sa.Column("taken", sa.Integer, nullable=False),
)

_JOIN = (
    _predictions.update()
    .where(_predictions.c.id == sa.bindparam("key"))
    .values(
        label=sa.bindparam("to_label"),
        label_time=sa.bindparam("to_time"),
        seq=sa.bindparam("to_seq"),
    )
)


@dataclass(frozen=True)
class Prediction:
    """One row that was answered."""

    id: str
    time: datetime
    version: str
    score: float
    features: dict[str, Any]


@dataclass(frozen=True)
class Matured:
    """A prediction at the moment its label joined it."""

    version: str
    score: float
    label: int
    features: dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A labelled row, ready for the lake."""

    seq: int
    id: str
    time: datetime
    version: str
    score: float
    features: dict[str, Any]
    label: int


@dataclass
class Ingested:
    """What became of a batch of predictions, in rows."""

    stored: int = 0
    duplicate: int = 0
    matured: list[Matured] = field(default_factory=list)


@dataclass
class Labelled:
    """What became of a batch of labels."""

    joined: int = 0
    early: int = 0
    duplicate: int = 0
    conflict: int = 0
    matured: list[Matured] = field(default_factory=list)


@dataclass(frozen=True)
class StoreCounts:
    """How much is kept."""

    predictions: int
    matured: int
    taken: int

    @property
    def unlabelled(self) -> int:
        """Predictions still waiting for their label."""
        return self.predictions - self.matured

    @property
    def untaken(self) -> int:
        """Labelled rows that are not yet in a span."""
        return self.matured - self.taken


class Store:
    """Predictions and labels of one loop in one SQLite file."""

    def __init__(self, path: Path, *, loop: str) -> None:
        """Open or create the file.

        Raises:
            ServiceError: it can not be written, is no such store, belongs to another
                loop, or another process owns it.
        """
        self._loop, self._guard = loop, threading.Lock()
        self._file = FileLock(path.with_name(path.name + ".lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file.acquire(timeout=0)
        except Timeout as exc:
            raise ServiceError(
                f"{path}: another collector has this store open; stop it or name another --store"
            ) from exc
        except OSError as exc:
            raise ServiceError(f"{path}: the store can not be written: {exc}") from exc
        self._engine = sa.create_engine(f"sqlite:///{path}")
        sa.event.listen(self._engine, "connect", _configure)
        try:
            self._counts = self._open(path)
        except sa.exc.DatabaseError as exc:
            self.close()
            raise ServiceError(f"{path}: the store can not be used: {exc.orig}") from exc
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path) -> StoreCounts:
        _metadata.create_all(self._engine)
        with self._engine.begin() as tx:
            owners = {row.loop: row.taken for row in tx.execute(sa.select(_cursor))}
            if not owners:
                tx.execute(_cursor.insert().values(loop=self._loop, taken=0))
            elif self._loop not in owners:
                raise ServiceError(
                    f"{path}: the store holds loop {sorted(owners)[0]!r}, not {self._loop!r}; "
                    "each loop needs a --store of its own"
                )
            rows = tx.scalar(sa.select(sa.func.count()).select_from(_predictions)) or 0
            matured = tx.scalar(sa.select(sa.func.max(_predictions.c.seq))) or 0
        return StoreCounts(rows, matured, owners.get(self._loop, 0))

    @property
    def counts(self) -> StoreCounts:
        """How much is kept, as of the last commit."""
        return self._counts

    def waiting_versions(self) -> list[str]:
        """The versions that still have predictions without a label."""
        query = sa.select(_predictions.c.version).where(_predictions.c.seq.is_(None)).distinct()
        with self._guard, self._engine.begin() as tx:
            return sorted(tx.scalars(query).all())

    def add(self, predictions: Sequence[Prediction]) -> Ingested:
        """Keep predictions; of two with the same id the first wins. Early labels join at once."""
        first: dict[str, Prediction] = {}
        for prediction in predictions:
            first.setdefault(prediction.id, prediction)
        with self._guard:
            with self._engine.begin() as tx:
                for known in _chosen(tx, sa.select(_predictions.c.id), _predictions.c.id, first):
                    del first[known.id]
                early = {row.id: row for row in _chosen(tx, sa.select(_early), _early.c.id, first)}
                result, rows = self._with_early(first.values(), early)
                if rows:
                    tx.execute(_predictions.insert(), rows)
                if early:
                    gone = _early.delete().where(_early.c.id == sa.bindparam("gone"))
                    tx.execute(gone, [{"gone": name} for name in early])
            result.duplicate = len(predictions) - len(rows)
            self._count(predictions=len(rows), matured=len(result.matured))
        return result

    def _with_early(
        self, predictions: Iterable[Prediction], early: dict[str, Any]
    ) -> tuple[Ingested, list[dict[str, Any]]]:
        result, rows, seq = Ingested(), [], self._counts.matured
        for p in predictions:
            row: dict[str, Any] = {
                "id": p.id,
                "time": p.time.isoformat(),
                "version": p.version,
                "score": p.score,
                "features": json.dumps(p.features, separators=(",", ":")),
                "label": None,
                "label_time": None,
                "seq": None,
            }
            if p.id in early:
                seq += 1
                label = early[p.id]
                row |= {"label": label.label, "label_time": label.label_time, "seq": seq}
                result.matured.append(Matured(p.version, p.score, label.label, p.features))
            rows.append(row)
        result.stored = len(rows)
        return result, rows

    def label(self, labels: Sequence[LabelRecord]) -> Labelled:
        """Join labels to their predictions.

        One without a prediction yet is kept until that arrives. Of several for one
        id the first wins; a later one is a duplicate, or a conflict if it differs.
        """
        ids = {record.id: record for record in labels}
        with self._guard:
            with self._engine.begin() as tx:
                rows = _chosen(tx, sa.select(_predictions), _predictions.c.id, ids)
                early = _chosen(tx, sa.select(_early), _early.c.id, ids)
                result, joins, new = self._sort(labels, {r.id: r for r in rows}, early)
                if joins:
                    tx.execute(_JOIN, joins)
                if new:
                    tx.execute(_early.insert(), new)
            self._count(matured=len(joins))
        return result

    def _sort(
        self, labels: Sequence[LabelRecord], rows: dict[str, Any], early: Iterable[Any]
    ) -> tuple[Labelled, list[dict[str, Any]], list[dict[str, Any]]]:
        result, joins, new, seq = Labelled(), [], [], self._counts.matured
        given = {r.id: r.label for r in rows.values() if r.label is not None}
        given |= {r.id: r.label for r in early}
        for record in labels:
            moment = record.time.isoformat() if record.time else None
            if record.id in given:
                same = given[record.id] == record.label
                result.duplicate += same
                result.conflict += not same
                continue
            given[record.id] = record.label
            row = rows.get(record.id)
            if row is None:
                result.early += 1
                new.append({"id": record.id, "label": record.label, "label_time": moment})
                continue
            seq += 1
            result.joined += 1
            result.matured.append(
                Matured(row.version, row.score, record.label, json.loads(row.features))
            )
            joins.append(
                {"key": record.id, "to_label": record.label, "to_time": moment, "to_seq": seq}
            )
        return result, joins, new

    def examples(self, *, after: int, limit: int) -> list[Example]:
        """At most `limit` labelled rows with `seq` > `after`, in order of maturing."""
        query = (
            sa.select(_predictions)
            .where(_predictions.c.seq > after)
            .order_by(_predictions.c.seq)
            .limit(limit)
        )
        with self._engine.connect() as tx:  # a reader does not wait for writers in WAL mode
            rows = tx.execute(query).all()
        return [
            Example(
                seq=r.seq,
                id=r.id,
                time=datetime.fromisoformat(r.time),
                version=r.version,
                score=r.score,
                features=json.loads(r.features),
                label=r.label,
            )
            for r in rows
        ]

    def take(self, cursor: int) -> int:
        """Note that all rows up to `cursor` are in a span; returns the furthest so far.

        Raises:
            ValueError: no row has matured with that `seq`.
        """
        with self._guard:
            if cursor > self._counts.matured:
                raise ValueError(
                    f"cursor is at most {self._counts.matured}, the newest row's _seq, "
                    f"but got {cursor}"
                )
            taken = max(cursor, self._counts.taken)
            with self._engine.begin() as tx:
                tx.execute(_cursor.update().values(taken=taken))
            self._counts = StoreCounts(self._counts.predictions, self._counts.matured, taken)
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()
        self._file.release()

    def _count(self, *, predictions: int = 0, matured: int = 0) -> None:
        old = self._counts
        self._counts = StoreCounts(old.predictions + predictions, old.matured + matured, old.taken)


def _configure(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _chosen(
    tx: sa.Connection, query: sa.Select[Any], column: sa.Column[str], ids: Iterable[str]
) -> list[Any]:
    """The rows of a query whose column is among the ids."""
    names: list[str] = list(ids)
    found: list[Any] = []
    for start in range(0, len(names), _CHUNK):
        found += tx.execute(query.where(column.in_(names[start : start + _CHUNK]))).all()
    return found
