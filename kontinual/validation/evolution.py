"""How a schema would have to change for a declaration and a span; a person decides."""

from collections.abc import Iterator, Mapping

import numpy as np

from kontinual.validation.expectation import Expectation
from kontinual.validation.tally import Tally

__all__ = ["changes", "evolve"]

Expectations = Mapping[str, Expectation]


def evolve(
    kept: Expectations,
    declared: Expectations,
    shown: Mapping[str, Tally],
    *,
    reset: bool = False,
) -> dict[str, Expectation]:
    """What to expect from now on.

    The columns and their types are the declaration's alone. A vocabulary, a range
    or `nullable` is as wide as the declaration, what was accepted earlier, and the
    span ask for together.

    Args:
        kept: of the schema in force.
        declared: of loop.yaml.
        shown: columns of a span that should be right, by name; none for the declaration alone.
        reset: forget what was accepted earlier.
    """
    evolved = {}
    for name, expectation in declared.items():
        wide = expectation
        earlier = kept.get(name)
        if earlier is not None and not reset and earlier.type == expectation.type:
            wide = _union(wide, earlier)
        if name in shown and not expectation.label:
            wide = _union(wide, _shown(shown[name], wide))
        evolved[name] = wide
    return evolved


def changes(kept: Expectations, evolved: Expectations) -> list[str]:
    """The differences in sentences; none when both are the same."""
    found = [f"`{n}`: a new column, {_described(e)}" for n, e in evolved.items() if n not in kept]
    found += [f"`{n}`: no longer a column" for n in kept if n not in evolved]
    for name, expectation in evolved.items():
        if name in kept:
            found += [f"`{name}`: {c}" for c in _column_changes(kept[name], expectation)]
    return found


def _column_changes(old: Expectation, new: Expectation) -> Iterator[str]:
    if old.type != new.type:
        yield f"{old.type} becomes {new.type}"
    if old.nullable != new.nullable:
        yield "may be null" if new.nullable else "may no longer be null"
    added = [v for v in new.vocabulary if v not in set(old.vocabulary)]
    dropped = [v for v in old.vocabulary if v not in set(new.vocabulary)]
    if added:
        yield f"the vocabulary gains {', '.join(map(repr, added))}"
    if dropped:
        yield f"the vocabulary loses {', '.join(map(repr, dropped))}"
    whole = new.type == "integer"
    if _kept(old, whole=whole) != _kept(new, whole=whole) and not new.categorical:
        yield f"the range [{_text(old.low)}, {_text(old.high)}] becomes " + (
            f"[{_text(new.low)}, {_text(new.high)}]"
        )
    if old.unit != new.unit:
        yield f"its unit {old.unit or 'none'} becomes {new.unit or 'none'}"


def _kept(expectation: Expectation, *, whole: bool) -> list[float | None]:
    """The bounds as a schema keeps them: those of numbers in float32."""
    bounds = (expectation.low, expectation.high)
    return [b if b is None or whole else float(np.float32(b)) for b in bounds]


def _union(wide: Expectation, other: Expectation) -> Expectation:
    vocabulary = dict.fromkeys([*wide.vocabulary, *other.vocabulary])
    return wide.model_copy(
        update={
            "nullable": wide.nullable or other.nullable,
            "low": _least(wide.low, other.low),
            "high": _greatest(wide.high, other.high),
            "vocabulary": tuple(vocabulary),
        }
    )


def _shown(tally: Tally, expectation: Expectation) -> Expectation:
    """What a column shows that the expectation does not allow."""
    update: dict[str, object] = {"nullable": tally.nulls > 0}
    if expectation.categorical:
        texts = sorted(set(tally.counts) - set(expectation.vocabulary))
        update["vocabulary"] = (*expectation.vocabulary, *texts)
    elif tally.low <= tally.high:
        update["low"] = _least(expectation.low, tally.low)
        update["high"] = _greatest(expectation.high, tally.high)
    return expectation.model_copy(update=update)


def _least(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else min(a, b)


def _greatest(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else max(a, b)


def _text(bound: float | None) -> str:
    return "unbounded" if bound is None else f"{bound:g}"


def _described(expectation: Expectation) -> str:
    if expectation.categorical:
        return f"category of {len(expectation.vocabulary)} values"
    unit = f" {expectation.unit}" if expectation.unit else ""
    return f"{expectation.type} in [{_text(expectation.low)}, {_text(expectation.high)}]{unit}"
