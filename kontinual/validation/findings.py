"""What a check found, in words."""

from enum import StrEnum
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

__all__ = ["Check", "Finding", "percent", "quoted"]


class Check(StrEnum):
    """What was looked at, the likeliest cause of all else first."""

    ROWS = "rows"
    IDS = "ids"
    SCHEMA = "schema"
    COLUMN = "column"
    TYPE = "type"
    UNITS = "units"
    LEAKAGE = "leakage"
    NULLS = "nulls"
    UNSEEN = "unseen"
    RANGE = "range"
    CONSTANT = "constant"
    DRIFT = "drift"
    SKEW = "skew"
    TFDV = "tfdv"


class Finding(BaseModel):
    """One thing that is odd about a span."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: Check
    feature: str | None = None
    sentence: str
    refuses: bool = True


def percent(share: float) -> str:
    """A share as a person reads it: `0.02 %`, `4.1 %`, `30 %`."""
    value = 100 * share
    digits = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    return f"{value:.{digits}f} %"


def quoted(value: Any) -> str:
    """A value as a person writes it, without NumPy's type."""
    return repr(value.item() if isinstance(value, np.generic) else value)
