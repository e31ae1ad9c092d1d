"""Checks of a span's rows against what is expected, each finding a sentence that names the feature.

Nothing here needs TFDV; `kontinual.validation.gate` adds what TFDV says.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.spec import Loop, Validation
from kontinual.validation.expectation import Expectation
from kontinual.validation.findings import Check, Finding, percent, quoted

__all__ = ["check_rows", "null_share", "numbers"]

Expectations = Mapping[str, Expectation]
_DOMINATED = 0.9
"""A feature whose commonest value had this share before may be constant for a while by chance."""


def check_rows(
    frame: pd.DataFrame,
    previous: pd.DataFrame | None,
    *,
    loop: Loop,
    expected: Expectations,
) -> list[Finding]:
    """All that is odd about the rows of a span, column by column.

    Args:
        frame: the rows.
        previous: rows of the last accepted span; None for the first one.
        loop: its declaration, for the names of id and time and for the limits.
        expected: the columns that the kept schema asks for, by name.
    """
    found = [*_too_few(frame, loop.validation), *_ids(frame, loop.data.id)]
    found += _columns(frame, loop, expected)
    for name, expectation in expected.items():
        if name in frame.columns:
            before = previous[name] if previous is not None and name in previous.columns else None
            found += _column(frame[name], before, expectation, loop.validation)
    return found


def null_share(column: "pd.Series[Any]") -> float:
    """Share of values that are missing; 0 of an empty column."""
    return float(column.isna().mean()) if len(column) else 0.0


def numbers(column: "pd.Series[Any]") -> npt.NDArray[np.float64]:
    """The values that are there, as float64; ValueError when one is text."""
    return np.asarray(column.dropna(), dtype=np.float64)


def _too_few(frame: pd.DataFrame, limits: Validation) -> Iterator[Finding]:
    if len(frame) < limits.min_rows:
        yield Finding(
            check=Check.ROWS,
            sentence=f"the span holds {len(frame)} rows, but {limits.min_rows} are the least that "
            "can be judged (validation.min_rows); wait for more labels, or lengthen data.span",
        )


def _ids(frame: pd.DataFrame, name: str) -> Iterator[Finding]:
    if name not in frame.columns:
        return
    twice = frame[name].duplicated(keep=False)
    if twice.any():
        example = frame.loc[twice, name].iloc[0]
        yield Finding(
            check=Check.IDS,
            feature=name,
            sentence=f"`{name}`: {int(twice.sum())} rows share their id with another row, such as "
            f"{example!r}; a label refers to one row, so ids must be unique",
        )


def _columns(frame: pd.DataFrame, loop: Loop, expected: Expectations) -> Iterator[Finding]:
    for name in expected:
        if name not in frame.columns:
            yield Finding(
                check=Check.COLUMN,
                feature=name,
                sentence=f"`{name}`: the column is missing, though the schema asks for it; "
                f"the span has {_listed(frame.columns)}",
            )
    known = {*expected, loop.data.id, loop.data.time}
    for name in frame.columns:
        if name not in known and not str(name).startswith("_"):
            yield Finding(
                check=Check.COLUMN,
                feature=str(name),
                sentence=f"`{name}`: the schema knows no such column; declare it in loop.yaml and "
                "run `kontinual schema accept`, or leave it out of the data",
            )


def _column(
    now: "pd.Series[Any]",
    before: "pd.Series[Any] | None",
    expectation: Expectation,
    limits: Validation,
) -> Iterator[Finding]:
    yield from _nulls(now, before, expectation, limits)
    wrong = list(_type(now, expectation))
    yield from wrong
    if wrong or now.notna().sum() == 0:
        return
    yield from _constant(now, before, expectation)
    if expectation.categorical:
        yield from _unseen(now, expectation, limits)
    else:
        yield from _range(now, expectation, limits)


def _nulls(
    now: "pd.Series[Any]",
    before: "pd.Series[Any] | None",
    expectation: Expectation,
    limits: Validation,
) -> Iterator[Finding]:
    share, name = null_share(now), expectation.name
    earlier = null_share(before) if before is not None else None
    if not expectation.nullable and share > 0:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            sentence=f"`{name}`: {percent(share)} of its values are null ({int(now.isna().sum())} "
            "rows), but it is declared without `nullable: true`, so none may be",
        )
    elif earlier is not None and share - earlier > limits.max_null_rise:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            sentence=f"`{name}`: {percent(share)} of its values are null, {percent(earlier)} were "
            f"in the accepted span before; a rise of {percent(limits.max_null_rise)} is the most "
            "(validation.max_null_rise), so its source seems to be failing",
        )
    elif len(now) and share == 1:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            sentence=f"`{name}`: every value is null, so there is nothing to learn from it",
        )


def _type(now: "pd.Series[Any]", expectation: Expectation) -> Iterator[Finding]:
    name, present = expectation.name, now.dropna()
    if expectation.categorical:
        odd = present[[not isinstance(v, str) for v in present]]
    else:
        odd = present[[isinstance(v, str | bytes | bool | np.bool_) for v in present]]
        if odd.empty and expectation.type == "integer":
            values = numbers(present)
            odd = present[np.floor(values) != values]
    if len(odd):
        wanted = {"number": "a number", "integer": "a whole number", "category": "text"}
        yield Finding(
            check=Check.TYPE,
            feature=name,
            sentence=f"`{name}`: {percent(len(odd) / len(now))} of its values are not "
            f"{wanted[expectation.type]}, such as {quoted(odd.iloc[0])}",
        )


def _constant(
    now: "pd.Series[Any]", before: "pd.Series[Any] | None", expectation: Expectation
) -> Iterator[Finding]:
    if now.nunique() != 1 or len(now) < 2:
        return
    value, name = now.dropna().iloc[0], expectation.name
    if expectation.label:
        yield Finding(
            check=Check.CONSTANT,
            feature=name,
            sentence=f"label `{name}`: every row has {quoted(value)}, so there is nothing to "
            "tell apart",
        )
        return
    shares = before.value_counts(normalize=True) if before is not None else pd.Series(dtype=float)
    common = float(shares.iloc[0]) if len(shares) else 0.0
    yield Finding(
        check=Check.CONSTANT,
        feature=name,
        refuses=before is not None and common < _DOMINATED,
        sentence=f"`{name}`: it has become constant, every row has {quoted(value)}"
        + (f" (its commonest value had {percent(common)} before)" if len(shares) else ""),
    )


def _unseen(
    now: "pd.Series[Any]", expectation: Expectation, limits: Validation
) -> Iterator[Finding]:
    present = now.dropna()
    new = present[~present.isin(expectation.vocabulary)]
    if new.empty:
        return
    share, name = len(new) / len(present), expectation.name
    top = [f"{v!r} ({percent(c / len(present))})" for v, c in new.value_counts().head(3).items()]
    rest = f" and {new.nunique() - 3} more" if new.nunique() > 3 else ""
    yield Finding(
        check=Check.UNSEEN,
        feature=name,
        refuses=share > limits.max_unseen,
        sentence=f"`{name}`: {percent(share)} of its values are not in the vocabulary, above all "
        f"{', '.join(top)}{rest}; {percent(limits.max_unseen)} may be (validation.max_unseen). "
        "If they are right, add them in loop.yaml and run `kontinual schema accept`",
    )


def _range(
    now: "pd.Series[Any]", expectation: Expectation, limits: Validation
) -> Iterator[Finding]:
    values, name = numbers(now), expectation.name
    low = -np.inf if expectation.low is None else expectation.low
    high = np.inf if expectation.high is None else expectation.high
    outside = values[(values < low) | (values > high) | np.isinf(values)]
    if not len(outside):
        return
    share, unit = len(outside) / len(values), f" {expectation.unit}" if expectation.unit else ""
    yield Finding(
        check=Check.RANGE,
        feature=name,
        refuses=share > limits.max_out_of_range,
        sentence=f"`{name}`: {percent(share)} of its values lie outside [{low:g}, {high:g}]{unit}, "
        f"from {outside.min():g} to {outside.max():g}; {percent(limits.max_out_of_range)} may "
        "(validation.max_out_of_range)",
    )


def _listed(names: "pd.Index[str]") -> str:
    return ", ".join(map(str, names))
