"""Reading the ledger's tables: one query each, and rows as the station's records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, union_all

from kontinual.spec import Outcome, utc_text
from kontinual.trigger import tables
from kontinual.trigger.chain import Entry
from kontinual.trigger.contracts import Act, Answer, NotThere, PolicyState, Run, RunKind, Trigger

__all__ = [
    "entries",
    "head",
    "open_summary",
    "open_triggers",
    "paused",
    "policy_state",
    "run",
    "runs",
    "same_alerts",
    "some_triggers",
    "to_entry",
    "to_run",
    "to_trigger",
    "trigger",
    "triggers",
    "unseen_triggers",
]

Row = Mapping[Any, Any]
Alert = tuple[str, str]  # fingerprint and start
NOT_OF_A_TRIGGER = {"loop", "occurrence", "answer"}
NOT_OF_A_RUN = {"loop", "kind", "outcome"}
HELD = Answer.HOLD.value
DAY = timedelta(days=1)
PAGE = 1000  # entries
MANY = 500  # values in one IN (...): SQLite's older limit is 999 for a statement


_SAME_ALERTS = (
    select(tables.triggers)
    .where(
        tables.triggers.c.loop == bindparam("of_loop"),
        tables.triggers.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
        tables.triggers.c.starts_at.in_(bindparam("starts", expanding=True)),
    )
    .order_by(tables.triggers.c.occurrence)
)


def to_trigger(row: Row) -> Trigger:
    """A row of `triggers` as a Trigger."""
    known = {name: value for name, value in row.items() if name not in NOT_OF_A_TRIGGER}
    columns = ("labels", "decision", "wish", "approved")
    return Trigger.model_validate(known | {n: tables.from_json(row[n]) for n in columns})


def to_run(row: Row) -> Run:
    """A row of `runs` as a Run."""
    known = {name: value for name, value in row.items() if name not in NOT_OF_A_RUN}
    columns = ("process", "record", "wish", "stop")
    return Run.model_validate(known | {n: tables.from_json(row[n]) for n in columns})


def to_entry(row: Row) -> Entry:
    """A row of `entries` as an Entry."""
    return Entry.model_validate({**row, "body": tables.from_json(row["body"])})


def trigger(connection: Connection, loop: str, number: int) -> Trigger:
    """The trigger of this number; NotThere when there is none."""
    table = tables.triggers
    query = select(table).where(table.c.loop == loop, table.c.id == number)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotThere(f"the ledger of {loop} has no trigger {number}")
    return to_trigger(row)


def run(connection: Connection, loop: str, run_id: str) -> Run:
    """The run of this id; NotThere when there is none."""
    table = tables.runs
    query = select(table).where(table.c.loop == loop, table.c.id == run_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotThere(f"the ledger of {loop} has no run {run_id!r}")
    return to_run(row)


def same_alerts(
    connection: Connection, loop: str, alerts: Iterable[Alert]
) -> dict[Alert, list[Trigger]]:
    """The triggers that alerts became, oldest first, by fingerprint and start.

    An alert that fires again and again keeps its fingerprint for years, so both are asked for.
    """
    found: dict[Alert, list[Trigger]] = {}
    wanted = sorted(set(alerts))
    for i in range(0, len(wanted), MANY // 2):
        some = set(wanted[i : i + MANY // 2])
        fingerprints, starts = (sorted(set(part)) for part in zip(*some, strict=True))
        these = {"of_loop": loop, "fingerprints": fingerprints, "starts": starts}
        for row in connection.execute(_SAME_ALERTS, these).mappings():
            key = (row["fingerprint"], row["starts_at"])
            # Of one's fingerprint and another's start: not asked for, or told with its own part.
            if key in some:
                found.setdefault(key, []).append(to_trigger(row))
    return found


def triggers(
    connection: Connection, loop: str, *, before: int | None = None, limit: int | None = None
) -> list[Trigger]:
    """Triggers in the order they came: all, or the last `limit` with a number below `before`."""
    table = tables.triggers
    query = select(table).where(table.c.loop == loop)
    if before is not None:
        query = query.where(table.c.id < before)
    found = connection.execute(query.order_by(table.c.id.desc()).limit(limit)).mappings()
    return [to_trigger(row) for row in found][::-1]


def open_triggers(connection: Connection, loop: str) -> list[Trigger]:
    """The triggers that have no final decision yet, in the order they came."""
    table = tables.triggers
    found = connection.execute(select(table).where(_is_open(loop)).order_by(table.c.id))
    return [to_trigger(row) for row in found.mappings()]


def unseen_triggers(connection: Connection, loop: str, *, limit: int) -> list[Trigger]:
    """The first open triggers about which something came that no decision has seen."""
    table = tables.triggers
    news = or_(
        table.c.answer.is_(None), table.c.resolved_at.is_not(None), table.c.approved.is_not(None)
    )
    found = connection.execute(select(table).where(_is_open(loop), news).order_by(table.c.id))
    unseen = (t for row in found.mappings() if not _knew_approval(t := to_trigger(row)))
    return list(islice(unseen, limit))


def _knew_approval(trigger: Trigger) -> bool:
    """Is it held for another reason than that a person has to approve?"""
    held = trigger.decision is not None and trigger.decision.rule != "approval"
    return held and trigger.resolved_at is None


def some_triggers(connection: Connection, loop: str, numbers: Sequence[int]) -> dict[int, Trigger]:
    """The triggers of these numbers, as far as there are."""
    table = tables.triggers
    found: dict[int, Trigger] = {}
    for i in range(0, len(numbers), MANY):
        query = select(table).where(table.c.loop == loop, table.c.id.in_(numbers[i : i + MANY]))
        rows = connection.execute(query).mappings()
        found.update({row["id"]: to_trigger(row) for row in rows})
    return found


def open_summary(connection: Connection, loop: str) -> tuple[str | None, int]:
    """When the oldest trigger without any decision came, and how many are held."""
    table = tables.triggers
    count = func.count(table.c.answer)
    oldest = func.min(table.c.received_at).filter(table.c.answer.is_(None))
    since, held = connection.execute(select(oldest, count).where(_is_open(loop))).one()
    return since, held


def _is_open(loop: str) -> ColumnElement[bool]:
    """Two looks into the index, for nearly all are decided after a year; asked twice a second."""
    table = tables.triggers
    mine, answer = table.c.loop == loop, table.c.answer
    undecided = (select(table.c.id).where(mine, a) for a in (answer.is_(None), answer == HELD))
    return mine & table.c.id.in_(union_all(*undecided))


def runs(connection: Connection, loop: str, *, only_open: bool) -> list[Run]:
    """The runs, or those that have not ended, in the order they were accepted."""
    table = tables.runs
    query = select(table).where(table.c.loop == loop)
    if only_open:
        query = query.where(table.c.ended_at.is_(None))
    found = connection.execute(query.order_by(table.c.accepted_at, table.c.trigger))
    return [to_run(row) for row in found.mappings()]


def paused(connection: Connection, loop: str) -> Act | None:
    """Who paused a loop (or `*`, all loops), if someone did."""
    table = tables.controls
    text = connection.scalar(select(table.c.paused).where(table.c.loop == loop))
    return None if text is None else Act.model_validate_json(text)


def policy_state(connection: Connection, loop: str, *, now: datetime) -> PolicyState:
    """What the policy needs to know of the runs and of persons' acts.

    A moment that lies ahead is of a clock that was ahead: nothing waits for it to come.
    """
    table = tables.runs
    has_ended = table.c.ended_at <= utc_text(now)
    mine, retrains = table.c.loop == loop, table.c.kind == RunKind.RETRAIN.value
    running = select(table.c.id).where(mine, table.c.ended_at.is_(None)).limit(1)
    ended = select(table.c.id, table.c.ended_at).where(mine, retrains, has_ended)
    recently = table.c.accepted_at.between(utc_text(now - DAY), utc_text(now))
    started = select(table.c.accepted_at).where(mine, retrains, recently)
    last = connection.execute(ended.order_by(table.c.ended_at.desc()).limit(1)).one_or_none()
    return PolicyState.model_validate(
        {
            "paused": paused(connection, loop),
            "paused_everywhere": paused(connection, tables.EVERY_LOOP),
            "run_in_progress": connection.scalar(running),
            "last_run": last.id if last else None,
            "last_run_ended": last.ended_at if last else None,
            "started": list(connection.scalars(started.order_by(table.c.accepted_at))),
            "restored_by": _restored_by(connection, mine & has_ended),
            **_failures(connection, loop, mine & retrains & has_ended, now=now),
        }
    )


def _failures(
    connection: Connection, loop: str, retrains: ColumnElement[bool], *, now: datetime
) -> dict[str, Any]:
    """How many of the last retrainings failed in a row, since a person last closed the circuit."""
    runs, controls = tables.runs, tables.controls
    closing = (controls.c.loop == loop) & (controls.c.circuit_closed_at <= utc_text(now))
    closed = connection.scalar(select(controls.c.circuit_closed_at).where(closing))
    # A run that a person stopped, or that never began, says nothing about whether runs work.
    good = runs.c.outcome.not_in([Outcome.FAILED.value, Outcome.STOPPED.value])
    last_good = connection.scalar(select(func.max(runs.c.ended_at)).where(retrains, good))
    query = select(func.count(), func.max(runs.c.ended_at)).where(
        retrains,
        runs.c.outcome == Outcome.FAILED.value,
        runs.c.ended_at > max(closed or "", last_good or ""),
    )
    number, last = connection.execute(query).one()
    return {"failures": number, "last_failure": last}


def _restored_by(connection: Connection, ended: ColumnElement[bool]) -> str | None:
    table = tables.runs
    changes = [o.value for o in Outcome if o.changed_champion]
    query = select(table.c.id, table.c.outcome).where(ended, table.c.outcome.in_(changes))
    last = connection.execute(query.order_by(table.c.ended_at.desc()).limit(1)).one_or_none()
    return last.id if last and last.outcome == Outcome.RESTORED.value else None


def entries(
    connection: Connection, loop: str, *, after: int = 0, limit: int | None = None
) -> Iterator[Row]:
    """Rows of the chain behind an entry, in its order.

    They are read page by page: it takes little memory, and who looks at each for long is not
    silent for long, which a server takes for hanging.
    """
    table = tables.entries
    query = select(table).where(table.c.loop == loop).order_by(table.c.seq)
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(PAGE, limit)
        page = connection.execute(query.where(table.c.seq > after).limit(size)).mappings().all()
        yield from page
        if len(page) < size:
            return
        after, limit = page[-1]["seq"], None if limit is None else limit - size


def head(connection: Connection, loop: str) -> tuple[int, str, int] | None:
    """Number and hash of the last entry as kept apart from the chain, and how many are archived."""
    table = tables.heads
    query = select(table.c.seq, table.c.hash, table.c.archived).where(table.c.loop == loop)
    found = connection.execute(query).one_or_none()
    return None if found is None else (found.seq, found.hash, found.archived)
