"""Checks of a span's rows against what is expected, each finding a sentence that names the feature.

Nothing here needs TFDV; `kontinual.validation.gate` adds what TFDV says.
"""

import math
from collections.abc import Iterator, Mapping

from kontinual.spec import Loop, Validation
from kontinual.validation.expectation import Expectation
from kontinual.validation.findings import Check, Finding, percent, quoted
from kontinual.validation.look import Look
from kontinual.validation.tally import LARGEST, Tally

__all__ = ["check_rows"]

Expectations = Mapping[str, Expectation]
_DOMINATED = 0.9
"""A feature whose commonest value had this share before may be constant for a while by chance."""
_CHANCE = 1e-6
"""What happens less often by chance is none: few values are easily all null, or all the same."""


def check_rows(
    now: Look,
    previous: Look | None,
    *,
    loop: Loop,
    expected: Expectations,
) -> list[Finding]:
    """All that is odd about the rows of a span, column by column.

    Args:
        now: the rows.
        previous: rows of the last accepted span; None for the first one.
        loop: its declaration, for the names of id and time and for the limits.
        expected: the columns that the kept schema asks for, by name.
    """
    found = [*_too_few(now.rows, loop.validation), *_ids(now, loop.data.id)]
    found += _columns(now.columns, loop, expected)
    for name, tally in now.tallies.items():
        found += _column(tally, previous, expected[name], loop.validation)
    return found


def _too_few(rows: int, limits: Validation) -> Iterator[Finding]:
    if rows < limits.min_rows:
        yield Finding(
            check=Check.ROWS,
            sentence=f"the span holds {rows} rows, but {limits.min_rows} are the least that "
            "can be judged (validation.min_rows); wait for more labels, or lengthen data.span",
        )


def _ids(now: Look, name: str) -> Iterator[Finding]:
    if len(now.twins):
        yield Finding(
            check=Check.IDS,
            feature=name,
            sentence=f"`{name}`: {len(now.twins)} rows share their id with another row, such as "
            f"{now.twins.iloc[0]!r}; a label refers to one row, so ids must be unique",
        )


def _columns(columns: list[str], loop: Loop, expected: Expectations) -> Iterator[Finding]:
    for name in expected:
        if name not in columns:
            yield Finding(
                check=Check.COLUMN,
                feature=name,
                sentence=f"`{name}`: the column is missing, though the schema asks for it; "
                f"the span has {', '.join(columns)}",
            )
    known = {*expected, loop.data.id, loop.data.time}
    for name in columns:
        if name not in known and not name.startswith("_"):
            yield Finding(
                check=Check.COLUMN,
                feature=name,
                sentence=f"`{name}`: the schema knows no such column; declare it in loop.yaml and "
                "run `kontinual schema accept`, or leave it out of the data",
            )


def _column(
    now: Tally, previous: Look | None, expectation: Expectation, limits: Validation
) -> Iterator[Finding]:
    before = previous.tallies.get(expectation.name) if previous else None
    yield from _nulls(now, before, expectation, limits)
    wrong = list(_type(now, expectation))
    yield from wrong
    if wrong or now.present == 0:
        return
    yield from _constant(now, previous, expectation)
    if expectation.categorical:
        yield from _unseen(now, expectation, limits)
    else:
        yield from _unfit(now)
        yield from _range(now, expectation, limits)


def _nulls(
    now: Tally, before: Tally | None, expectation: Expectation, limits: Validation
) -> Iterator[Finding]:
    share, name = now.null_share, expectation.name
    if not expectation.nullable and share > 0:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            sentence=f"`{name}`: {percent(share)} of its values are null ({now.nulls} "
            "rows), but it is declared without `nullable: true`, so none may be",
        )
    elif before is not None and share - before.null_share > limits.max_null_rise:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            sentence=f"`{name}`: {percent(share)} of its values are null, "
            f"{percent(before.null_share)} were "
            f"in the accepted span before; a rise of {percent(limits.max_null_rise)} is the most "
            "(validation.max_null_rise), so its source seems to be failing",
        )
    elif now.rows and now.present == 0:
        yield Finding(
            check=Check.NULLS,
            feature=name,
            refuses=before is None or before.null_share**now.rows < _CHANCE,
            sentence=f"`{name}`: every value is null, so there is nothing to learn from it",
        )


def _type(now: Tally, expectation: Expectation) -> Iterator[Finding]:
    if now.odd:
        name = expectation.name
        wanted = {"number": "a number", "integer": "a whole number", "category": "text"}
        yield Finding(
            check=Check.TYPE,
            feature=name,
            sentence=f"`{name}`: {percent(now.odd / now.rows)} of its values are not "
            f"{wanted[expectation.type]}, such as {quoted(now.example)}",
        )


def _constant(now: Tally, previous: Look | None, expectation: Expectation) -> Iterator[Finding]:
    if now.varied or now.present < 2:
        return
    value, name = now.first, expectation.name
    if expectation.label:
        yield Finding(
            check=Check.CONSTANT,
            feature=name,
            sentence=f"label `{name}`: every row has {quoted(value)}, so there is nothing to "
            "tell apart",
        )
        return
    common, values = _commonest(previous, name)
    # The share that few values show may be too small, by three of its standard errors.
    likely = min(1.0, common + 3 * math.sqrt(1 / (4 * max(1, values))))
    yield Finding(
        check=Check.CONSTANT,
        feature=name,
        refuses=common < _DOMINATED and likely ** (now.present - 1) < _CHANCE,
        sentence=f"`{name}`: it has become constant, each of its {now.present} values is "
        f"{quoted(value)}"
        + (f" (its commonest value had {percent(common)} before)" if values else ""),
    )


def _commonest(previous: Look | None, name: str) -> tuple[float, int]:
    """Share of a column's commonest value, and how many values show it; 1 of none."""
    if previous is None or name not in previous.columns:
        return 1.0, 0
    counts = previous.sample[name].value_counts()
    values = int(counts.sum())
    return (float(counts.iloc[0]) / values, values) if values else (1.0, 0)


def _unseen(now: Tally, expectation: Expectation, limits: Validation) -> Iterator[Finding]:
    if not now.strangers:
        return
    share, name = now.strangers / now.present, expectation.name
    known = set(expectation.vocabulary)
    new = [(v, c) for v, c in now.counts.most_common() if v not in known]
    top = [f"{v!r} ({percent(c / now.present)})" for v, c in new[:3]]
    rest = f" and {len(new) - 3} more" if len(new) > 3 else ""
    yield Finding(
        check=Check.UNSEEN,
        feature=name,
        refuses=share > limits.max_unseen,
        sentence=f"`{name}`: {percent(share)} of its values are not in the vocabulary, above all "
        f"{', '.join(top)}{rest}; {percent(limits.max_unseen)} may be (validation.max_unseen). "
        "If they are right, add them in loop.yaml and run `kontinual schema accept`",
    )


def _unfit(now: Tally) -> Iterator[Finding]:
    """One such value is too many: training and serving refuse the matrix that holds it."""
    if now.unfit:
        name = now.expectation.name
        yield Finding(
            check=Check.TYPE,
            feature=name,
            sentence=f"`{name}`: {percent(now.unfit / now.rows)} of its values ({now.unfit} rows) "
            f"are infinite, or too great for float32 (over {LARGEST:.1e}), and no model takes "
            "them; mend the source, or write null where there is no value (`nullable: true`)",
        )


def _range(now: Tally, expectation: Expectation, limits: Validation) -> Iterator[Finding]:
    if not now.outside:
        return
    name = expectation.name
    low = -math.inf if expectation.low is None else expectation.low
    high = math.inf if expectation.high is None else expectation.high
    share, unit = now.outside / now.present, f" {expectation.unit}" if expectation.unit else ""
    yield Finding(
        check=Check.RANGE,
        feature=name,
        refuses=share > limits.max_out_of_range,
        sentence=f"`{name}`: {percent(share)} of its values lie outside [{low:g}, {high:g}]{unit}, "
        f"from {now.outside_low:g} to {now.outside_high:g}; {percent(limits.max_out_of_range)} may "
        "(validation.max_out_of_range)",
    )
