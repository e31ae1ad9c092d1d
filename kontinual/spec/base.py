"""What every part of the declaration shares."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

__all__ = [
    "Duration",
    "Name",
    "PositiveDuration",
    "Quantity",
    "Share",
    "Strict",
    "format_duration",
    "parse_duration",
]

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


class Strict(BaseModel):
    """A part of the declaration: unknown keys are errors, numbers finite, values never change."""

    # JSON, in which packages keep the declaration, knows neither infinity nor NaN.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


def parse_duration(value: Any) -> timedelta:
    """Read a duration as Prometheus writes it: `90s`, `6h`, `1d12h`, `4w`.

    Raises:
        ValueError: the text is no such duration, or longer than 999,999,999 days.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"a duration is written like 90s, 6h, 1d12h or 4w, but got {value!r}")
    seconds = sum(
        int(n) * unit for n, unit in zip(match.groups(), _UNITS.values(), strict=True) if n
    )
    try:
        return timedelta(seconds=seconds)
    except OverflowError as exc:
        raise ValueError(f"a duration is at most {timedelta.max.days}d, but got {value}") from exc


def format_duration(value: timedelta) -> str:
    """Write a duration as Prometheus does, in whole seconds at the finest."""
    rest, parts = round(value.total_seconds()), []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(f"must be longer than 0s, but got {format_duration(value)}")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(
        parse_duration,
        json_schema_input_type=Annotated[str, Field(pattern=r"^([0-9]+[wdhms])+$")],
    ),
    PlainSerializer(format_duration, return_type=str),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""Where no time at all would mean nothing: windows, timeouts, the lengths that time is cut into."""
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$",
        description="lower-case DNS label that begins with a letter",
    ),
]
Share = Annotated[float, Field(ge=0, le=1)]
_QuantityText = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Quantity = Annotated[
    _QuantityText,
    BeforeValidator(
        lambda value: str(value) if isinstance(value, int | float) else value,
        json_schema_input_type=_QuantityText | Annotated[float, Field(ge=0)],
    ),
    Field(description="as Kubernetes writes it: 500m, 2, 0.5, 1.5Gi"),
]
