"""From rows to the columns of a span, the same by every pandas and pyarrow.

pandas 1.5 with pyarrow 10 and pandas 2.3 with pyarrow 25 both read and write
spans, so a column is put into one of four kinds before it is written:

| kind | in parquet |
|---|---|
| number | double |
| integer | int64, nulls allowed |
| text | string |
| timestamp | microseconds, UTC |

Only id, time and label have to be right. A feature that is missing, or holds
what it should not, is written as it is: to judge it is validation's work.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kontinual.errors import LakeError
from kontinual.spec import YEARS, Data

__all__ = [
    "COLLECTED",
    "MOMENTS",
    "NO_TIME",
    "REPEATED",
    "WIDTH",
    "column_kinds",
    "fingerprint",
    "ids",
    "impossible",
    "labels",
    "normalise",
    "require",
    "times",
    "to_frame",
]

COLLECTED = {"_version": "text", "_score": "number"}
_TYPES = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_DAY = timedelta(days=1)
MOMENTS = (
    datetime(YEARS[0], 1, 1, tzinfo=UTC) - _DAY,
    datetime(YEARS[1] + 1, 1, 1, tzinfo=UTC) + _DAY,
)
"""Rows lie from the first to before the second. They reach a day over the years, for serving looks
at the year of a request's own offset."""
NO_TIME = f"is no time from {YEARS[0]} to {YEARS[1]}; write ISO 8601, 2013-03-01T05:15:00Z"
REPEATED = "stands twice; ids are unique in a span"
WIDTH = {"integer": 0, "number": 1, "text": 2}
"""A kind holds all values of the narrower ones."""


def normalise(
    frame: pd.DataFrame, data: Data, *, source: str, kinds: Mapping[str, str] | None = None
) -> pa.Table:
    """The columns of a span, each in its kind, rows in order of time.

    Args:
        frame: id, time, label and features under their declared names; other
            columns but `_version` and `_score` are left out. Its index tells messages the row.
        data: the declaration of the columns.
        source: file or service the rows come from, for messages.
        kinds: of features, by name, where other rows of the span ask for wider ones.

    Raises:
        LakeError: id, time or label is missing or holds an impossible value, or there is no row.
    """
    require(list(frame.columns), [data.id, data.time, data.label.name], source=source)
    if frame.empty:
        raise LakeError(f"{source}: there are no rows, a span needs one at least")
    columns = {
        data.id: ids(frame[data.id], source=source),
        data.time: times(frame[data.time], source=source),
        data.label.name: labels(frame[data.label.name], source=source),
    }
    arrays = {
        data.id: pa.array(columns[data.id], pa.string()),
        data.time: pa.array(columns[data.time], _TYPES["timestamp"]),
    }
    for feature in data.features:
        if feature.name in frame.columns:
            declared: str = "text" if feature.type == "category" else feature.type
            declared = (kinds or {}).get(feature.name, declared)
            arrays[feature.name] = _feature(frame[feature.name], declared)
    arrays[data.label.name] = pa.array(columns[data.label.name], pa.int64())
    for name, kind in COLLECTED.items():
        if name in frame.columns:
            arrays[name] = _feature(frame[name], (kinds or {}).get(name, kind))
    order = np.argsort(columns[data.time].to_numpy(), kind="stable")
    return pa.table(arrays).take(pa.array(order))


def column_kinds(table: pa.Table) -> dict[str, str]:
    """The kind of each column of a normalised table."""
    kinds = {str(type_): kind for kind, type_ in _TYPES.items()}
    return {field.name: kinds[str(field.type)] for field in table.schema}


def fingerprint(kinds: dict[str, str]) -> str:
    """The sha256 over the sorted (column, kind), hex."""
    return hashlib.sha256(json.dumps(sorted(kinds.items())).encode()).hexdigest()


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A span's rows; timestamps in nanoseconds, UTC, by every pandas."""
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    for field in table.schema:
        if pa.types.is_timestamp(field.type):
            frame[field.name] = frame[field.name].astype("datetime64[ns, UTC]")
    return frame


def times(column: "pd.Series[Any]", *, source: str) -> "pd.Series[Any]":
    """A column of moments in UTC; without an offset they are taken for UTC.

    Raises:
        LakeError: a value is null, no moment in ISO 8601, or not of the years that are served.
    """
    options: dict[str, Any] = {"utc": True, "errors": "coerce"}
    if int(pd.__version__.split(".")[0]) >= 2 and column.dtype == object:
        options["format"] = "ISO8601"  # pandas 1.5 reads mixed precisions without being told
    if pd.api.types.is_numeric_dtype(column):
        raise LakeError(
            f"{source}: column {column.name!r} holds numbers such as {_plain(column.iloc[0])!r}, "
            "but a time is written in ISO 8601, such as 2013-03-01T05:15:00Z"
        )
    moments = pd.to_datetime(column, **options)
    inside = (moments >= pd.Timestamp(MOMENTS[0])) & (moments < pd.Timestamp(MOMENTS[1]))
    _refuse(column, ~inside, NO_TIME, source)
    return moments.astype("datetime64[ns, UTC]")


def require(columns: Sequence[str], names: Sequence[str], *, source: str) -> None:
    """Refuse a table that lacks one of these columns."""
    missing = [name for name in names if name not in columns]
    if missing:
        raise LakeError(
            f"{source}: column {', '.join(map(repr, missing))} is missing; "
            f"the columns are {', '.join(map(str, columns)) or 'none'}"
        )


def ids(column: "pd.Series[Any]", *, source: str) -> "pd.Series[Any]":
    """A column of ids as texts.

    Raises:
        LakeError: one is null, empty, or stands twice.
    """
    texts = column.astype(str)
    _refuse(column, column.isna() | (texts == ""), "is no id; every row needs one", source)
    _refuse(column, texts.duplicated(), REPEATED, source)
    return texts


def labels(column: "pd.Series[Any]", *, source: str) -> "pd.Series[Any]":
    """A column of labels as whole numbers.

    Raises:
        LakeError: one is neither 0 nor 1.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    # Not by `!=`: in a column of whole numbers or booleans with nulls that is null, not true.
    rule = "is no label; it is 0 or 1, and a row without one yet is left out"
    _refuse(column, ~numbers.isin([0, 1]), rule, source)
    return numbers.astype("int64")


def _refuse(column: "pd.Series[Any]", bad: "pd.Series[bool]", rule: str, source: str) -> None:
    """Raise for the first row where `bad` holds."""
    if not bad.any():
        return
    first = int(np.flatnonzero(bad.to_numpy())[0])
    raise impossible(
        column.name,
        column.iloc[first],
        rule,
        row=column.index[first],
        count=f"{int(bad.sum())} of {len(column)}",
        source=source,
    )


def impossible(
    column: Any, value: Any, rule: str, *, row: int, count: str, source: str
) -> LakeError:
    """That a value can not stand where it does."""
    return LakeError(
        f"{source}: column {column!r}, row {row}: {_plain(value)!r} {rule} ({count} rows)"
    )


def _plain(value: Any) -> Any:
    """A value without NumPy's type, as a person writes it."""
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _feature(column: "pd.Series[Any]", kind: str) -> pa.Array:
    """The column in its declared kind, or in the nearest that loses nothing."""
    if kind == "text":
        present = column.notna()
        texts = [str(v) if p else None for v, p in zip(column, present, strict=True)]
        return pa.array(texts, pa.string())
    numbers = pd.to_numeric(column, errors="coerce")
    if (numbers.isna() & column.notna()).any():
        return _feature(column, "text")
    values = numbers.to_numpy(dtype="float64", na_value=np.nan)
    array = pa.array(values, pa.float64(), from_pandas=True)
    return array.cast(pa.int64()) if kind == "integer" and _whole(values) else array


def _whole(values: npt.NDArray[np.float64]) -> bool:
    """Is every number that is there a whole one, which int64 and double both hold exactly?"""
    present = values[~np.isnan(values)]
    return bool(np.all((np.floor(present) == present) & (np.abs(present) <= 2.0**53)))
