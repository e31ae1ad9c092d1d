"""What a person does with the schema: look at what would change, and accept it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kontinual.errors import SpecError
from kontinual.lake import Lake
from kontinual.spec import Loop
from kontinual.validation.evolution import changes, evolve
from kontinual.validation.expectation import Expectation, declared
from kontinual.validation.gate import ensure_schema
from kontinual.validation.look import look_at
from kontinual.validation.schema import expectations, rewrite
from kontinual.validation.schema_store import SchemaStore, SchemaVersion
from kontinual.validation.statistics import import_tfdv

__all__ = ["Proposal", "accept", "propose"]


@dataclass(frozen=True)
class Proposal:
    """The schema in force, and what it would have to become."""

    about: SchemaVersion
    span: int
    changes: list[str]
    missing: list[str]
    """declared columns that the span lacks; no schema can make up for them"""
    evolved: dict[str, Expectation]
    schema: Any


def propose(
    loop: Loop,
    lake: Lake,
    *,
    span: int | None = None,
    features: Collection[str] = (),
    reset: bool = False,
) -> Proposal:
    """What the declaration and a span ask of the schema that it does not hold yet.

    Args:
        loop: the declaration.
        lake: its lake.
        span: the span whose rows should be right; the newest one when left out.
        features: the only features that the span may widen; all when empty.
        reset: forget what was accepted earlier.

    Raises:
        SpecError: a feature is not declared.
        LakeError: there is no such span.
    """
    wanted = declared(loop)
    unknown = sorted(set(features) - set(wanted))
    if unknown:
        raise SpecError(
            f"loop {loop.name} declares no {', '.join(unknown)}; it has {', '.join(wanted)}"
        )
    schema, about = ensure_schema(loop, lake)
    number = lake.spans()[-1].number if span is None else span
    tallies = look_at(lake, number, wanted).tallies
    missing = [name for name in wanted if name not in tallies]
    shown = {name: t for name, t in tallies.items() if not features or name in features}
    kept = expectations(schema)
    evolved = evolve(kept, wanted, shown, reset=reset)
    return Proposal(about, number, changes(kept, evolved), missing, evolved, schema)


def accept(lake: Lake, proposal: Proposal, *, by: str, reason: str) -> SchemaVersion | None:
    """Put a proposal into force; None when it changes nothing.

    Raises:
        LakeError: another version came into force since the proposal was made.
        SpecError: a whole number of the span would widen a range beyond 2^53.
    """
    if not proposal.changes:
        return None
    return SchemaStore(lake).keep(
        rewrite(proposal.schema, proposal.evolved),
        after=proposal.about.version,
        by=by,
        reason=reason,
        tfdv_version=import_tfdv().__version__,
        span=proposal.span,
        changes=proposal.changes,
    )
