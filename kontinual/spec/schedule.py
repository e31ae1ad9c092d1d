"""When a loop retrains by the calendar, whatever the figures say."""

import re

from pydantic import Field, field_validator, model_validator

from kontinual.spec.base import Duration, Strict

__all__ = ["Schedule"]

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 6),
)
_RANGE = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
_LEAST_SECONDS = 60


class Schedule(Strict):
    """Runs at fixed times. Exactly one of `cron` and `every`.

    A scheduled run is judged like any other; `paused` keeps the schedule but starts nothing.
    """

    cron: str | None = Field(
        default=None,
        description="minute, hour, day of month, month, day of week (0 is Sunday), in UTC",
    )
    every: Duration | None = Field(default=None, description="from one start to the next")
    paused: bool = False

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = value.split()
        if len(parts) != len(_FIELDS):
            raise ValueError(
                "cron has five fields (minute, hour, day of month, month, day of week), "
                f"such as `0 3 * * 1`, but got {value!r}"
            )
        for (name, low, high), part in zip(_FIELDS, parts, strict=True):
            _check_field(name, low, high, part)
        return " ".join(parts)

    @model_validator(mode="after")
    def _one(self) -> "Schedule":
        if (self.cron is None) == (self.every is None):
            raise ValueError("a schedule needs exactly one of `cron` and `every`")
        if self.every is not None and self.every.total_seconds() < _LEAST_SECONDS:
            raise ValueError(f"`every` is at least {_LEAST_SECONDS}s, but got {self.every}")
        return self


def _check_field(name: str, low: int, high: int, text: str) -> None:
    """Numbers, ranges `a-b`, `*`, each with a step `/n`, in a list with commas."""
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last, step = match.groups() if match else (None, None, None)
        numbers = [int(n) for n in (first, last) if n is not None]
        in_bounds = numbers == sorted(numbers) and all(low <= n <= high for n in numbers)
        if match is None or not in_bounds or (step and not 1 <= int(step) <= high):
            raise ValueError(
                f"the {name} of a cron is `*`, a number from {low} to {high}, a range or a list "
                f"of them, each with a step like `/2`, but got {text!r}"
            )
