"""What one value of a request may be, and the float32 that the model sees of it.

A field's `read` is called for each value of each request, so it decides the
ordinary case first. What it encodes is exactly what `kontinual.model.Encoder`
makes of the same value in training.
"""

import math
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from kontinual.spec import CategoryFeature, Feature, IntegerFeature, moment_of

__all__ = [
    "MISSING",
    "CategoryField",
    "Field",
    "FieldError",
    "IdField",
    "IntegerField",
    "Note",
    "NumberField",
    "TimeField",
    "field_of",
]

MISSING: Final = object()
LARGEST = float(np.finfo(np.float32).max)
MAX_WHOLE = 2**53  # every whole number up to here survives JSON
MAX_ID = 256  # as in kontinual.spec.LabelRecord: a longer id could never get its label
MAX_TEXT = 1000


class Note(NamedTuple):
    """One anomaly: the field it is about, and its kind as in the counters."""

    feature: str
    kind: str


class FieldError(ValueError):
    """A value that can not be served; `kind` is that of the anomaly counter."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Field(Protocol):
    """Reads the values of one name."""

    name: str
    kinds: tuple[str, ...]

    def read(self, value: Any, notes: list[Note]) -> float:
        """The value as the model sees it; adds to `notes` what is odd and yet served.

        Raises:
            FieldError: the value can not be served.
        """
        ...


class NumberField:
    """A real number."""

    kinds: tuple[str, ...] = ("missing", "ill_typed", "null", "out_of_range")
    wanted = "a number"

    def __init__(
        self, name: str, *, low: float, high: float, nullable: bool, unit: str = ""
    ) -> None:
        self.name, self.nullable = name, nullable
        self._low, self._high = max(low, -LARGEST), min(high, LARGEST)
        self._range = f"{low:g} to {high:g}" + (f" {unit}" if unit else "")

    def read(self, value: Any, notes: list[Note]) -> float:
        kind = type(value)
        if (kind is float or kind is int) and self._low <= value <= self._high:
            return float(value)
        return self._unusual(value, notes)

    def _unusual(self, value: Any, notes: list[Note]) -> float:
        if value is None and self.nullable:
            return math.nan
        if type(value) not in (int, float):
            raise _refusal(value, self._description)
        if not abs(value) <= LARGEST:
            raise FieldError("ill_typed", f"must be finite and within float32, but got {value!r}")
        notes.append(Note(self.name, "out_of_range"))
        return float(value)

    @property
    def _description(self) -> str:
        null = " or null" if self.nullable else ""
        return f"{self.wanted}{null} (usually {self._range})"


class IntegerField(NumberField):
    """A whole number; `3.0` is one, as JSON knows no difference."""

    wanted = "a whole number"

    def read(self, value: Any, notes: list[Note]) -> float:
        if type(value) is int and self._low <= value <= self._high:
            return float(value)
        if type(value) is float and math.isfinite(value) and not value.is_integer():
            raise FieldError("ill_typed", f"must be {self._description}, but got {value!r}")
        if type(value) in (int, float) and not abs(value) <= MAX_WHOLE:
            raise FieldError("ill_typed", f"must be at most 2^53, but got {value!r}")
        return super().read(value, notes)


class CategoryField:
    """A string; one outside the vocabulary is served as "unseen"."""

    kinds: tuple[str, ...] = ("missing", "ill_typed", "null", "unseen")

    def __init__(self, name: str, *, vocabulary: list[str], nullable: bool) -> None:
        self.name, self.nullable = name, nullable
        self._codes = {value: float(i) for i, value in enumerate(vocabulary)}
        self._unseen = float(len(vocabulary))
        self._examples = ", ".join(vocabulary[:5]) + (", …" if len(vocabulary) > 5 else "")

    def read(self, value: Any, notes: list[Note]) -> float:
        if type(value) is str:
            code = self._codes.get(value)
            if code is not None:
                return code
            if len(value) > MAX_TEXT:
                raise FieldError(
                    "ill_typed", f"may have {MAX_TEXT} characters, but has {len(value)}"
                )
            notes.append(Note(self.name, "unseen"))
            return self._unseen
        if value is None and self.nullable:
            return math.nan
        null = " or null" if self.nullable else ""
        raise _refusal(value, f"a string{null} (such as {self._examples})")


class IdField:
    """The text by which a late label finds its prediction."""

    kinds: tuple[str, ...] = ("missing", "ill_typed", "null")

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, value: Any, notes: list[Note]) -> float:  # noqa: ARG002
        if type(value) is str and 0 < len(value) <= MAX_ID:
            return 0.0
        if type(value) is str:
            raise FieldError(
                "ill_typed", f"must have 1 to {MAX_ID} characters, but has {len(value)}"
            )
        raise _refusal(value, f"a string of 1 to {MAX_ID} characters")


class TimeField:
    """When the event happens: ISO 8601 date and time; without an offset it is UTC."""

    kinds: tuple[str, ...] = ("missing", "ill_typed", "null")
    wanted = "an ISO 8601 date and time (such as 2013-01-31T14:05:00Z)"

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, value: Any, notes: list[Note]) -> float:  # noqa: ARG002
        if type(value) is not str:
            raise _refusal(value, self.wanted)
        if moment_of(value) is None:
            raise FieldError("ill_typed", f"must be {self.wanted}, but got {_short(value)}")
        return 0.0


def field_of(feature: Feature) -> Field:
    """The field of a declared feature."""
    if isinstance(feature, CategoryFeature):
        return CategoryField(feature.name, vocabulary=feature.vocabulary, nullable=feature.nullable)
    kind = IntegerField if isinstance(feature, IntegerFeature) else NumberField
    low, high = feature.range
    return kind(feature.name, low=low, high=high, nullable=feature.nullable, unit=feature.unit)


def _refusal(value: Any, wanted: str) -> FieldError:
    if value is MISSING:
        return FieldError("missing", f"is missing; it must be {wanted}")
    if value is None:
        return FieldError("null", f"must be {wanted}, but got null")
    return FieldError("ill_typed", f"must be {wanted}, but got {_short(value)}")


def _short(value: Any) -> str:
    """A value as a person would look for it in the request, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "…'"
