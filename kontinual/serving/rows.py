"""From the instances of a request to the matrix of the model, or to a refusal that teaches.

Notation: n rows, F features.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from kserve.errors import InvalidInput

from kontinual.model import Matrix, Signature
from kontinual.serving.fields import MISSING, Field, FieldError, IdField, Note, TimeField, field_of

__all__ = ["MAX_FOUND", "OTHER", "BadRequest", "RowReader", "Rows"]

OTHER = "other"
"""The `feature` under which everything that is not a declared field is counted."""

MAX_TOLD = 5
MAX_FOUND = 20


class BadRequest(InvalidInput):  # type: ignore[misc]
    """A request that is refused: why, and what of it is counted as an anomaly."""

    def __init__(self, reason: str, *, notes: Iterable[Note] = (), status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
        # Too much of what may be sound (413) is no anomaly; anything else unreadable is one.
        unreadable = [] if status == 413 else [Note(OTHER, "ill_typed")]
        self.notes = list(notes) or unreadable


class Rows(NamedTuple):
    """A request that can be served: its instances, their matrix [n, F], and what was odd."""

    instances: list[dict[str, Any]]
    matrix: Matrix
    notes: list[Note]


class RowReader:
    """Checks and encodes instances in one pass."""

    def __init__(self, signature: Signature, *, max_rows: int) -> None:
        self._max_rows = max_rows
        self._features = [field_of(f) for f in signature.features]
        self._fields: list[Field] = [
            *self._features,
            IdField(signature.id),
            TimeField(signature.time),
        ]
        self._names = frozenset(f.name for f in self._fields)
        self._listing = ", ".join([signature.id, signature.time, *(f.name for f in self._features)])

    @property
    def kinds(self) -> list[Note]:
        """Every anomaly that can ever be counted: a bounded set of label values."""
        declared = [Note(f.name, kind) for f in self._fields for kind in f.kinds]
        return [*declared, Note(OTHER, "extra"), Note(OTHER, "ill_typed")]

    def read(self, instances: object) -> Rows:
        """Check and encode the instances of a request.

        Raises:
            BadRequest: a row can not be served; the message names row, field
                and what would be right, and nothing is to be predicted. What is
                looked at and counted ends with the 20th mistake: a request of a
                few megabytes may hold half a million.
        """
        rows = self._sized(instances)
        values: list[float] = []
        notes: list[Note] = []
        problems: list[str] = []
        for index, row in enumerate(rows):
            values += self._row(index, row, notes, problems)
        if problems:
            raise BadRequest(_listed(problems), notes=notes)
        width = len(self._features)
        return Rows(rows, np.array(values, np.float32).reshape(-1, width), notes)

    def _sized(self, instances: object) -> list[dict[str, Any]]:
        if not isinstance(instances, list):
            raise BadRequest(
                f"`instances` must be a list of objects with the fields {self._listing}"
            )
        if not instances:
            raise BadRequest("`instances` is empty; send at least one row")
        if len(instances) > self._max_rows:
            raise BadRequest(
                f"a request may hold {self._max_rows} rows, but this one has {len(instances)};"
                " split it",
                status=413,
            )
        return instances

    def _row(self, index: int, row: Any, notes: list[Note], problems: list[str]) -> list[float]:
        if type(row) is not dict:
            notes.append(Note(OTHER, "ill_typed"))
            told = f"instances[{index}]: must be an object with {self._listing}"
            _tell(told, notes, problems)
            return []
        before = len(problems)
        values = []
        for field in self._fields:
            try:
                values.append(field.read(row.get(field.name, MISSING), notes))
            except FieldError as exc:
                notes.append(Note(field.name, exc.kind))
                _tell(f"instances[{index}]: field `{field.name}` {exc}", notes, problems)
        if len(row) != len(self._fields) or len(problems) != before:
            self._refuse_unknown(index, row, notes, problems)
        return values[: len(self._features)]

    def _refuse_unknown(
        self, index: int, row: dict[str, Any], notes: list[Note], problems: list[str]
    ) -> None:
        unknown = [*islice((name for name in row if name not in self._names), MAX_FOUND)]
        if unknown:
            notes.append(Note(OTHER, "extra"))
        for name in unknown:
            told = f"instances[{index}]: unknown field `{name[:64]}`; a row has {self._listing}"
            _tell(told, notes, problems)


def _tell(problem: str, notes: list[Note], problems: list[str]) -> None:
    """Take up one mistake more.

    Raises:
        BadRequest: it is the last one that is looked for.
    """
    problems.append(problem)
    if len(problems) == MAX_FOUND:
        raise BadRequest(_listed(problems), notes=notes)


def _listed(problems: list[str]) -> str:
    told = "; ".join(problems[:MAX_TOLD])
    rest = len(problems) - MAX_TOLD
    least = "at least " if len(problems) == MAX_FOUND else ""
    return told + (f"; and {least}{rest} more" if rest > 0 else "")
