"""What the collector keeps: predictions, labels that came early, and how far the lake has read.

A method that returns has committed to disk, so nothing that was acknowledged is
lost by a kill. One process owns the file (a lock beside it says so); calls from its
threads are serialised.

A prediction matures when its label has joined it and that label's delay is over: it then gets
the next `seq`, counted from 1 without gaps, which is the order in which examples are read. Those
that were labelled sooner wait, for labels that come first are not like the rest: a customer who
leaves is known on the day, one who stays not before the end. Some time
after it was taken into a span it is forgotten, but for its id and label: what
comes again is a duplicate for ever. A prediction whose label does not come, and a label
whose prediction does not come, are forgotten altogether: what comes after all is as one
that never met the other, and is forgotten in its turn. A store has an identity of its own,
so that the counting of another one is not taken for its.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import pydantic_core
import sqlalchemy as sa
from filelock import FileLock, Timeout

from kontinual.collector.pruning import prune_early, prune_taken, prune_unlabelled
from kontinual.collector.records import (
    Answered,
    Example,
    Ingested,
    Labelled,
    Matured,
    Prediction,
    Pruned,
    StoreCounts,
)
from kontinual.collector.tables import (
    JOIN,
    KEEP,
    RIPE,
    chosen,
    connect,
    early,
    forgotten,
    predictions,
    state,
    takes,
)
from kontinual.errors import ServiceError
from kontinual.spec import LabelRecord

__all__ = ["Forgotten", "Store"]

RIPE_AT_ONCE = 2000


class Forgotten(LookupError):
    """Rows were asked for that are no longer kept."""


class Store:
    """Predictions and labels of one loop in one SQLite file."""

    def __init__(
        self,
        path: Path,
        *,
        loop: str,
        delay: timedelta = timedelta(0),
        retention: timedelta = timedelta(days=30),
        patience: timedelta = timedelta(days=30),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open or create the file.

        Args:
            path: of the file; its folder is made.
            loop: the loop's name.
            delay: after the time of a prediction, until which its label may still come.
            retention: how long rows are kept after they were taken.
            patience: how long a prediction waits for its label, and a label for its prediction.
            clock: tells when predictions and labels arrive, and when rows are taken.

        Raises:
            ServiceError: it can not be written, is no such store, belongs to another
                loop, or another process owns it.
        """
        self._delay, self._retention, self._patience = delay, retention, patience
        self._clock, self._guard = clock, Lock()
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
        try:
            self._engine = connect(path, loop=loop)
        except BaseException:
            self._file.release()
            raise
        with self._engine.begin() as tx:
            known = tx.execute(sa.select(state)).one()
            newest = tx.scalar(sa.select(sa.func.max(predictions.c.seq))) or 0
            label, seq = predictions.c.label, predictions.c.seq
            unlabelled = tx.scalar(sa.select(sa.func.count()).where(label.is_(None))) or 0
            ripening = sa.select(sa.func.count()).where(label.is_not(None), seq.is_(None))
            counts = unlabelled, max(newest, known.pruned), known.taken, tx.scalar(ripening) or 0
        self.identity: str = known.store
        self._pruned: int = known.pruned
        self._counts = StoreCounts(*counts)

    @property
    def counts(self) -> StoreCounts:
        """How many rows there are, as of the last commit."""
        return self._counts

    @property
    def pruned(self) -> int:
        """The greatest `seq` that is no longer kept."""
        return self._pruned

    def now(self) -> datetime:
        """The time by which arrivals are told."""
        return self._clock()

    def waiting_versions(self, *, limit: int) -> list[str]:
        """Versions that still have predictions which are no examples yet, the newest to arrive."""
        version, newest = predictions.c.version, sa.func.max(predictions.c.arrived)
        waiting = sa.select(version).where(predictions.c.seq.is_(None)).group_by(version)
        query = waiting.order_by(newest.desc(), version).limit(limit)
        with self._guard, self._engine.begin() as tx:
            return sorted(tx.scalars(query).all())

    def add(self, rows: Sequence[Prediction]) -> Ingested:
        """Keep predictions; of two with the same id the first wins. Early labels join at once."""
        first: dict[str, Prediction] = {}
        for row in rows:
            first.setdefault(row.id, row)
        with self._guard:
            with self._engine.begin() as tx:
                for table in (predictions, forgotten):
                    for known in chosen(tx, sa.select(table.c.id), table.c.id, first):
                        del first[known.id]
                labels = {row.id: row for row in chosen(tx, sa.select(early), early.c.id, first)}
                result, kept = self._with_early(first.values(), labels)
                if kept:
                    tx.exec_driver_sql(KEEP, kept)
                if labels:
                    gone = early.delete().where(early.c.id == sa.bindparam("gone"))
                    tx.execute(gone, [{"gone": name} for name in labels])
            result.duplicate = len(rows) - len(kept)
            matured = len(result.matured)
            self._count(
                unlabelled=len(kept) - len(labels),
                ripening=len(labels) - matured,
                matured=matured,
            )
        return result

    def _with_early(
        self, rows: Iterable[Prediction], labels: dict[str, Any]
    ) -> tuple[Ingested, list[tuple[Any, ...]]]:
        """What becomes of new rows, and they as the table has them."""
        result, kept, seq = Ingested(), list[tuple[Any, ...]](), self._counts.matured
        now = self._clock().timestamp()
        for row in rows:
            features = pydantic_core.to_json(row.features).decode()
            due = row.time.timestamp() + self._delay.total_seconds()
            start = (row.id, row.time.isoformat(), row.version, row.score, now, due, features)
            label = labels.get(row.id)
            if label is None:
                kept.append((*start, None, None, None))
                continue
            if due > now:
                kept.append((*start, label.label, label.label_time, None))
                continue
            seq += 1
            kept.append((*start, label.label, label.label_time, seq))
            result.matured.append(Matured(row.version, row.score, label.label, row.features))
        result.stored = len(kept)
        return result, kept

    def label(self, labels: Sequence[LabelRecord]) -> Labelled:
        """Join labels to their predictions.

        One without a prediction yet is kept until that arrives. Of several for one
        id the first wins; a later one is a duplicate, or a conflict if it differs.
        """
        ids = {record.id: record for record in labels}
        with self._guard:
            with self._engine.begin() as tx:
                rows = chosen(tx, sa.select(predictions), predictions.c.id, ids)
                given = {row.id: row.label for row in rows if row.label is not None}
                for table in (early, forgotten):
                    query = sa.select(table.c.id, table.c.label)
                    given |= {row.id: row.label for row in chosen(tx, query, table.c.id, ids)}
                result, joins, new = self._sort(labels, {r.id: r for r in rows}, given)
                if joins:
                    tx.execute(JOIN, joins)
                if new:
                    tx.execute(early.insert(), new)
            matured = len(result.matured)
            self._count(unlabelled=-len(joins), ripening=len(joins) - matured, matured=matured)
        return result

    def ripen(self) -> list[Matured]:
        """Let labelled rows mature whose label's delay is over now, some at a time."""
        due = sa.and_(
            predictions.c.label.is_not(None),
            predictions.c.seq.is_(None),
            predictions.c.due <= self._clock().timestamp(),
        )
        query = sa.select(predictions).where(due).order_by(predictions.c.due).limit(RIPE_AT_ONCE)
        with self._guard:
            with self._engine.begin() as tx:
                rows, seq = tx.execute(query).all(), self._counts.matured
                if rows:
                    numbers = enumerate(rows, seq + 1)
                    tx.execute(RIPE, [{"key": row.id, "to_seq": n} for n, row in numbers])
            self._count(unlabelled=0, ripening=-len(rows), matured=len(rows))
        return [_matured(row, row.label) for row in rows]

    def _sort(
        self, labels: Sequence[LabelRecord], rows: dict[str, Any], given: dict[str, int]
    ) -> tuple[Labelled, list[dict[str, Any]], list[dict[str, Any]]]:
        result, joins, new, seq = Labelled(), [], [], self._counts.matured
        now = self._clock().timestamp()
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
                label = {"id": record.id, "label": record.label, "label_time": moment}
                new.append({**label, "arrived": now})
                continue
            result.joined += 1
            join = {"key": record.id, "to_label": record.label, "to_time": moment, "to_seq": None}
            joins.append(join)
            if row.due <= now:
                seq += 1
                join["to_seq"] = seq
                result.matured.append(_matured(row, record.label))
        return result, joins, new

    def examples(self, *, after: int, limit: int) -> list[Example]:
        """At most `limit` labelled rows with `seq` > `after`, in order of maturing.

        Raises:
            Forgotten: the first of them are no longer kept.
        """
        query = (
            sa.select(predictions)
            .where(predictions.c.seq > after)
            .order_by(predictions.c.seq)
            .limit(limit)
        )
        with self._engine.connect() as tx:  # a reader does not wait for writers in WAL mode
            rows = tx.execute(query).all()
            pruned = tx.scalar(sa.select(state.c.pruned)) or 0  # asked last: it only grows
        if after < pruned:
            raise Forgotten(
                f"the rows up to {pruned} were in spans for longer than {self._retention} and are "
                f"no longer kept, but those after {after} were asked for"
            )
        return [
            Example(
                seq=r.seq,
                id=r.id,
                time=datetime.fromisoformat(r.time),
                version=r.version,
                score=r.score,
                features=pydantic_core.from_json(r.features),
                label=r.label,
            )
            for r in rows
        ]

    def answered(
        self, versions: Sequence[str], *, since: datetime, until: datetime, limit: int
    ) -> list[Answered]:
        """The predictions of some versions that arrived in [since, until), in order of arrival.

        Of more than `limit` the first ones, to the end of the moment in which the last of
        these arrived: what arrived together stays together.

        Raises:
            Forgotten: some that arrived since then are no longer kept.
        """
        arrived = predictions.c.arrived
        asked = sa.and_(
            arrived >= since.timestamp(),
            arrived < until.timestamp(),
            predictions.c.version.in_(versions),
        )
        last = sa.select(arrived).where(asked).order_by(arrived).offset(limit - 1).limit(1)
        query = (
            sa.select(arrived, predictions.c.version, predictions.c.score, predictions.c.label)
            .where(asked, arrived <= sa.func.coalesce(last.scalar_subquery(), until.timestamp()))
            .order_by(arrived)
        )
        with self._engine.connect() as tx:  # as in `examples`
            rows = [Answered._make(row) for row in tx.execute(query)]
            pruned = tx.scalar(sa.select(state.c.pruned_arrival)) or 0.0
        if since.timestamp() <= pruned:
            raise Forgotten(
                f"of the predictions that arrived up to {datetime.fromtimestamp(pruned, UTC)} some "
                f"are no longer kept, but those since {since} were asked for"
            )
        return rows

    def take(self, cursor: int) -> int:
        """Note that all rows up to `cursor` are in a span; returns the furthest so far.

        Raises:
            ValueError: no row has matured with that `seq`.
        """
        with self._guard:
            counts = self._counts
            if cursor > counts.matured:
                raise ValueError(
                    f"cursor is at most {counts.matured}, the newest row's _seq, but got {cursor}"
                )
            if cursor > counts.taken:
                with self._engine.begin() as tx:
                    tx.execute(state.update().values(taken=cursor))
                    tx.execute(takes.insert().values(seq=cursor, at=self._clock().timestamp()))
                self._counts = replace(counts, taken=cursor)
        return self._counts.taken

    def prune(self) -> Pruned:
        """Forget some of what is old: rows that were taken, and what waited in vain.

        Returns:
            How many rows; none when there is no more to forget.
        """
        now = self._clock().timestamp()
        waited = now - self._patience.total_seconds()
        with self._guard:
            with self._engine.begin() as tx:
                pruned = Pruned(
                    taken=prune_taken(tx, now - self._retention.total_seconds()),
                    unlabelled=prune_unlabelled(tx, waited),
                    early=prune_early(tx, waited),
                )
            self._pruned += pruned.taken
            self._count(unlabelled=-pruned.unlabelled)
        return pruned

    def close(self) -> None:
        """Let go of the file."""
        with self._guard:
            self._engine.dispose()
            self._file.release()

    def _count(self, *, unlabelled: int, ripening: int = 0, matured: int = 0) -> None:
        old = self._counts
        self._counts = replace(
            old,
            unlabelled=old.unlabelled + unlabelled,
            ripening=old.ripening + ripening,
            matured=old.matured + matured,
        )


def _matured(row: Any, label: int) -> Matured:
    return Matured(row.version, row.score, label, pydantic_core.from_json(row.features))
