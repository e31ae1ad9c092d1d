"""What comes in becomes triggers: each alert once, however often it is delivered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select

from kontinual.spec import utc_text
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import EntryKind
from kontinual.trigger.contracts import Ask, Message, NotNow, Receipt, Resolution, Trigger
from kontinual.trigger.writer import Writer

__all__ = ["receive"]

Key = tuple[str, str]

_LAST_NUMBER = select(func.max(tables.triggers.c.id)).where(
    tables.triggers.c.loop == bindparam("of_loop")
)


def receive(
    writer: Writer, messages: Sequence[Message], *, again_after: timedelta
) -> list[Receipt]:
    """Append what is new of messages that came at once; `Ledger.receive` says what counts as new.

    All that is asked is appended before what has resolved, so that a message can close what another
    one of them brings.
    """
    intake = _Intake(writer, messages, again_after)
    recorded = [intake.record(message.asks) for message in messages]
    intake.write()
    return [
        Receipt(
            recorded=numbers,
            duplicates=len(message.asks) - len(numbers),
            resolved=[n for r in message.resolutions for n in intake.resolve(r)],
        )
        for message, numbers in zip(messages, recorded, strict=True)
    ]


class _Intake:
    """One transaction's knowledge of the alerts that it is about."""

    def __init__(self, writer: Writer, messages: Sequence[Message], again_after: timedelta) -> None:
        self._writer = writer
        self._again_after = again_after
        alerts: list[Ask | Resolution] = []
        for message in messages:
            alerts += [*message.asks, *message.resolutions]
        # The triggers of an alert, oldest first; a number is one that this transaction brings.
        self._known: dict[Key, list[Trigger | int]] = self._stored(alerts)
        self._bodies: list[dict[str, Any]] = []
        self._last = self._last_number() if any(m.asks for m in messages) else 0
        self._resolved: set[int] = set()

    def record(self, asks: Sequence[Ask]) -> list[int]:
        """The numbers of those that are new; `write` appends them."""
        numbers = []
        for ask in asks:
            occurrence = self._occurrence(ask)
            if occurrence is None:
                continue
            self._last += 1
            numbers.append(self._last)
            self._bodies.append(_body(ask, self._last, occurrence))
            if ask.fingerprint is not None:
                self._known.setdefault(_key(ask), []).append(self._last)
        return numbers

    def write(self) -> None:
        """Append what was recorded, all at once."""
        self._writer.append(EntryKind.TRIGGER_RECEIVED, *self._bodies)

    def resolve(self, resolution: Resolution) -> list[int]:
        """Close the triggers of an alert that has resolved; the numbers of those that were open."""
        former = self._known.get(_key(resolution), [])
        numbers = {_number(t) for t in former if isinstance(t, int) or t.resolved_at is None}
        closed = sorted(numbers - self._resolved)
        self._resolved.update(closed)
        for number in closed:
            body = {"trigger": number, "ends_at": utc_text(resolution.ends_at)}
            self._writer.append(EntryKind.ALERT_RESOLVED, body)
        return closed

    def _stored(self, alerts: Sequence[Ask | Resolution]) -> dict[Key, list[Trigger | int]]:
        known = [_key(a) for a in alerts if a.fingerprint is not None and a.starts_at is not None]
        found = rows.same_alerts(self._writer.connection, self._writer.loop, known)
        return {key: list(triggers) for key, triggers in found.items()}

    def _last_number(self) -> int:
        return self._writer.connection.scalar(_LAST_NUMBER, {"of_loop": self._writer.loop}) or 0

    def _occurrence(self, ask: Ask) -> int | None:
        """How often this alert asked before; None when it is a duplicate."""
        if ask.wish.run is not None:
            _refuse_taken_name(self._writer, ask.wish.run)
        if ask.fingerprint is None or ask.starts_at is None:
            return 0
        former = self._known.get(_key(ask), [])
        if not former:
            return 0
        answered = self._answered_at(former[-1])
        if not ask.repeats or answered is None:
            return None
        # An answer further ahead than that is of a clock that was ahead.
        is_recent = abs(self._writer.now - answered) < self._again_after
        return None if is_recent else len(former)

    def _answered_at(self, trigger: Trigger | int) -> datetime | None:
        """When a trigger was suppressed or its run ended; None while it is open."""
        if isinstance(trigger, int) or trigger.is_open:
            return None
        if trigger.run is None:
            return trigger.decided_at
        return rows.run(self._writer.connection, self._writer.loop, trigger.run).ended_at


def _number(trigger: Trigger | int) -> int:
    return trigger if isinstance(trigger, int) else trigger.id


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
