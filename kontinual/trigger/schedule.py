"""When the calendar asks for a run: the last moment of a schedule that has come."""

from datetime import UTC, datetime, timedelta

from kontinual.spec import Schedule

__all__ = ["last_due"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LOOK_BACK = timedelta(days=1)  # a moment of a cron missed for longer is let go
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def last_due(
    schedule: Schedule, *, after: datetime, now: datetime, speedup: float = 1.0
) -> datetime | None:
    """The last moment of a schedule within (after, now]; None when there is none.

    Moments of `every` are counted from 1970, so that replicas agree on them. They pass
    faster at a speed-up; those of a `cron` are the wall clock's.
    """
    if schedule.paused:
        return None
    if schedule.every is not None:
        length = schedule.every / speedup
        moment = EPOCH + (now - EPOCH) // length * length
        return moment if moment > after else None
    return _last_of_cron(schedule.cron or "", max(after, now - LOOK_BACK), now)


def _last_of_cron(cron: str, after: datetime, now: datetime) -> datetime | None:
    fields = [_numbers(f, *r) for f, r in zip(cron.split(), RANGES, strict=True)]
    either_day = not any(f.startswith("*") for f in (cron.split()[2], cron.split()[4]))
    moment = now.astimezone(UTC).replace(second=0, microsecond=0)
    while moment > after:
        if _matches(moment, fields, either_day=either_day):
            return moment
        moment -= MINUTE
    return None


def _matches(moment: datetime, fields: list[set[int]], *, either_day: bool) -> bool:
    """Cron's custom: of two restricted fields for days, one that fits is enough."""
    minute, hour, day, month, weekday = fields
    on_day, on_weekday = moment.day in day, moment.isoweekday() % 7 in weekday
    fits = on_day or on_weekday if either_day else on_day and on_weekday
    return fits and moment.minute in minute and moment.hour in hour and moment.month in month


def _numbers(field: str, low: int, high: int) -> set[int]:
    """The numbers of one field, which the declaration has checked: `*`, `a`, `a-b`, each `/n`."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if first == "*" else int(first)
        end = int(last) if last else high if first == "*" or step else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return found
