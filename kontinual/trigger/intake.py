"""What comes in becomes triggers: each alert once, however often it is delivered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from kontinual.spec import utc_text
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import EntryKind
from kontinual.trigger.contracts import Ask, NotNow, Receipt, Resolution, Trigger
from kontinual.trigger.writer import Writer

__all__ = ["receive"]

Key = tuple[str, str]
Known = dict[Key, list[Trigger | None]]
"""The triggers of an alert, oldest first; None for one that this very delivery brought."""


def receive(
    writer: Writer,
    asks: Sequence[Ask],
    resolutions: Sequence[Resolution],
    *,
    again_after: timedelta,
) -> Receipt:
    """Append what is new of a delivery; see `Ledger.receive` for what counts as new."""
    known = _known(writer, [*asks, *resolutions])
    bodies: list[dict[str, Any]] = []
    number = _last_number(writer)
    for ask in asks:
        occurrence = _occurrence(writer, ask, known, again_after)
        if occurrence is None:
            continue
        number += 1
        bodies.append(_body(ask, number, occurrence))
        if ask.fingerprint is not None:
            known.setdefault(_key(ask), []).append(None)
    writer.receive(bodies)
    return Receipt(
        recorded=[body["trigger"] for body in bodies],
        duplicates=len(asks) - len(bodies),
        resolved=[n for r in resolutions for n in _resolve(writer, r, known)],
    )


def _known(writer: Writer, those: Sequence[Ask | Resolution]) -> Known:
    fingerprints = [a.fingerprint for a in those if a.fingerprint is not None]
    found = rows.same_alerts(writer.connection, writer.loop, fingerprints)
    return {key: list(triggers) for key, triggers in found.items()}


def _last_number(writer: Writer) -> int:
    table = tables.triggers
    query = select(func.max(table.c.id)).where(table.c.loop == writer.loop)
    return writer.connection.scalar(query) or 0


def _occurrence(writer: Writer, ask: Ask, known: Known, again_after: timedelta) -> int | None:
    """How often this alert asked before; None when it is a duplicate."""
    if ask.wish.run is not None:
        _refuse_taken_name(writer, ask.wish.run)
    if ask.fingerprint is None or ask.starts_at is None:
        return 0
    former = known.get(_key(ask), [])
    if not former:
        return 0
    last = former[-1]
    answered = None if last is None else _answered_at(writer, last)
    if not ask.repeats or answered is None or writer.now - answered < again_after:
        return None
    return len(former)


def _answered_at(writer: Writer, trigger: Trigger) -> datetime | None:
    """When a trigger was suppressed or its run ended; None while it is open."""
    if trigger.is_open:
        return None
    if trigger.run is None:
        return trigger.decided_at
    return rows.run(writer.connection, writer.loop, trigger.run).ended_at


def _resolve(writer: Writer, resolution: Resolution, known: Known) -> list[int]:
    former = known.get(_key(resolution), [])
    numbers = [t.id for t in former if t is not None and t.resolved_at is None]
    for number in numbers:
        body = {"trigger": number, "ends_at": utc_text(resolution.ends_at)}
        writer.append(EntryKind.ALERT_RESOLVED, body)
    return numbers


def _body(ask: Ask, number: int, occurrence: int) -> dict[str, Any]:
    return ask.model_dump(mode="json", exclude={"repeats"}) | {
        "trigger": number,
        "starts_at": None if ask.starts_at is None else utc_text(ask.starts_at),
        "occurrence": occurrence,
    }


def _key(alert: Ask | Resolution) -> Key:
    return str(alert.fingerprint), "" if alert.starts_at is None else utc_text(alert.starts_at)


def _refuse_taken_name(writer: Writer, run: str) -> None:
    triggers, runs = tables.triggers, tables.runs
    wished = f'"run":"{run}"'
    asked = select(triggers.c.id).where(
        triggers.c.loop == writer.loop, triggers.c.wish.contains(wished, autoescape=True)
    )
    started = select(runs.c.id).where(runs.c.loop == writer.loop, runs.c.id == run)
    if writer.connection.scalar(asked.limit(1)) or writer.connection.scalar(started):
        raise NotNow(f"a run named {run!r} was asked for already; a new run needs a new name")
