"""May a span be learned from? What TFDV and our own checks say, brought to one verdict."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from kontinual.errors import KontinualError
from kontinual.lake import Lake, SpanManifest, Verdict
from kontinual.spec import Loop
from kontinual.validation import distances
from kontinual.validation.beam import pipeline_options
from kontinual.validation.checks import check_rows
from kontinual.validation.distances import Distance, Measured
from kontinual.validation.evolution import changes
from kontinual.validation.expectation import Expectation, declared
from kontinual.validation.findings import Check, Finding
from kontinual.validation.leakage import check_leakage
from kontinual.validation.report import ReportFacts, report_html
from kontinual.validation.rules import rules_of
from kontinual.validation.schema import expectations, infer, limited, to_text
from kontinual.validation.schema_store import INFERRED, SchemaStore, SchemaVersion
from kontinual.validation.statistics import import_tfdv
from kontinual.validation.subject import Subject, of_frame, of_span, statistics_of
from kontinual.validation.unit_check import check_units

__all__ = ["Examination", "ensure_schema", "examine", "validate_span"]

_TRAINED_ROWS = 50_000
_TOLERATED = {  # TFDV knows no share for these; our own check of the same thing does
    "FLOAT_TYPE_BIG_FLOAT": Check.RANGE,
    "FLOAT_TYPE_SMALL_FLOAT": Check.RANGE,
    "INT_TYPE_BIG_INT": Check.RANGE,
    "INT_TYPE_SMALL_INT": Check.RANGE,
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": Check.UNSEEN,
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": Check.NULLS,
    "FEATURE_TYPE_NOT_PRESENT": Check.NULLS,
}


@dataclass(frozen=True)
class Examination:
    """What was found about a span."""

    findings: list[Finding]
    distances: list[Distance]
    anomalies: list[tuple[str, str, str]]

    @property
    def reasons(self) -> list[str]:
        return [f.sentence for f in self.findings if f.refuses]

    @property
    def notes(self) -> list[str]:
        return [f.sentence for f in self.findings if not f.refuses]


def validate_span(loop: Loop, lake: Lake, number: int, *, report: Path) -> Verdict:
    """Judge a span, keep the verdict in the lake and write the report.

    The schema is inferred of the first span when none is kept yet. A person's
    verdict stands: the report is made, but nothing is judged again.

    Args:
        loop: the declaration.
        lake: its lake.
        number: the span.
        report: HTML file to write.

    Returns:
        The verdict that counts.

    Raises:
        LakeError: the span or an earlier one can not be read; nothing is judged then.
        SpecError: `validation.beam` names an option that there is not, or the range of a whole
            number reaches beyond 2^53; nothing is judged then.
        KontinualError: TFDV is missing or failed; nothing is judged then.
    """
    pipeline_options(loop.validation.beam)  # a mistake in them should not wait for a large span
    manifest = lake.span(number)
    schema, about = ensure_schema(loop, lake)
    expected = expectations(schema)
    before = [s for s in lake.accepted() if s.number < number]
    now = of_span(lake, number, expected)
    previous = of_span(lake, before[-1].number, expected) if before else None
    rows = _trained_rows(lake, manifest, before)
    trained = None if rows is None else of_frame(rows, loop, expected)
    result = examine(now, previous, trained, loop=loop, schema=schema)
    verdict = _verdict(result, number, rules=rules_of(loop, lake))
    standing = lake.verdict(number)
    overruled = standing is not None and standing.by_person
    facts = ReportFacts(
        loop=loop,
        manifest=manifest,
        schema_version=about,
        verdict=standing if overruled and standing else verdict,
        previous=before[-1] if before else None,
        found=verdict.reasons if overruled else [],
        notes=result.notes,
        distances=result.distances,
        anomalies=result.anomalies,
        tfdv_version=import_tfdv().__version__,
    )
    seen = previous.look if previous else None
    html = report_html(facts, now.look, seen, expected=expected)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(html, encoding="utf-8")
    if standing is not None and overruled:
        return standing
    lake.judge(verdict)
    return verdict


def ensure_schema(loop: Loop, lake: Lake) -> tuple[Any, SchemaVersion]:
    """The schema in force, inferred of the first span (and kept) when there is none yet.

    As long as no span was accepted under an inferred one, and so nothing hangs on it, it follows
    the declaration: who leaves a feature out after the first refusal has said all there is to say.
    """
    store = SchemaStore(lake)
    kept = store.latest()
    if kept is not None and (not kept[1].inferred or lake.accepted()):
        return kept
    spans = lake.spans()
    if not spans:
        raise KontinualError(f"loop {loop.name} has no spans yet; run `kontinual ingest` first")
    first, expected = spans[0], declared(loop)
    schema = infer(statistics_of(lake, first.number, expected), expected)
    if kept is not None and to_text(schema) == to_text(kept[0]):
        return kept
    what = "inferred of the first span and tightened by the declaration"
    about = store.keep(
        schema,
        after=kept[1].version if kept else 0,
        by=INFERRED,
        reason=f"no span was accepted yet: {what}" if kept else f"the first schema, {what}",
        tfdv_version=import_tfdv().__version__,
        span=first.number,
        changes=changes(expectations(kept[0]), expected) if kept else [],
    )
    return schema, about


def examine(
    now: Subject,
    previous: Subject | None,
    trained: Subject | None,
    *,
    loop: Loop,
    schema: Any,
) -> Examination:
    """Everything that is odd about a span's rows.

    Args:
        now: the rows.
        previous: rows of the accepted span before.
        trained: rows that models learned from so far; given for a served span only.
        loop: the declaration.
        schema: the schema in force.
    """
    expected = expectations(schema)
    look, before = now.look, previous.look if previous else None
    found = _undeclared(expected, declared(loop))
    found += check_rows(look, before, loop=loop, expected=expected)
    if look.rows == 0:
        return Examination(found, [], [])
    broken = {f.feature for f in found if f.check is Check.TYPE}
    sound = {n: e for n, e in expected.items() if n in look.tallies and n not in broken}
    rows, earlier = look.sample, before.sample if before else None
    found += check_units(rows, earlier, time=loop.data.time, expected=sound)
    found += check_leakage(rows, earlier, label=loop.data.label.name, expected=sound)
    measured = _measure(now, previous, trained, loop=loop, schema=schema)
    found += distances.findings(measured)
    found += _said_by_tfdv(measured, found)
    return Examination(_ordered(found), measured.distances, measured.anomalies)


def _measure(
    now: Subject, previous: Subject | None, trained: Subject | None, *, loop: Loop, schema: Any
) -> Measured:
    limits = limited(
        schema,
        loop.validation,
        drift_slack=_slack(now, previous),
        skew_slack=_slack(now, trained),
    )
    return distances.measure(
        now.statistics,
        limits,
        previous=previous.statistics if previous else None,
        trained=trained.statistics if trained else None,
    )


def _slack(now: Subject, other: Subject | None) -> dict[str, float]:
    """What chance adds to each feature's distance, by its values on both sides."""
    others = other.look.tallies if other is not None else {}
    return {
        name: distances.slack(
            tally.present, others[name].present, categorical=tally.expectation.categorical
        )
        for name, tally in now.look.tallies.items()
        if name in others
    }


def _said_by_tfdv(measured: Measured, found: list[Finding]) -> list[Finding]:
    """TFDV's anomalies; one whose matter is found already is only noted, in TFDV's words."""
    refused = {f.feature for f in found if f.refuses}
    said = []
    for feature, kind, description in measured.anomalies:
        told = (feature or None) in refused
        said.append(
            Finding(
                check=Check.TFDV,
                feature=feature or None,
                refuses=not told and kind not in _TOLERATED,
                sentence=f"{f'`{feature}`: ' if feature else ''}TFDV says {kind}: {description}",
            )
        )
    return said


def _undeclared(expected: dict[str, Expectation], wanted: dict[str, Expectation]) -> list[Finding]:
    """Where loop.yaml changed since the schema was kept."""
    sides = [
        ("is declared in loop.yaml, but not in the kept schema", set(wanted) - set(expected)),
        ("is in the kept schema, but no longer in loop.yaml", set(expected) - set(wanted)),
    ]
    sides[0][1].update(n for n in set(wanted) & set(expected) if wanted[n].type != expected[n].type)
    return [
        Finding(
            check=Check.SCHEMA,
            feature=name,
            sentence=f"`{name}`: it {what} with this type; look at `kontinual schema diff` and "
            "accept the change with `kontinual schema accept`",
        )
        for what, names in sides
        for name in sorted(names)
    ]


def _trained_rows(
    lake: Lake, manifest: SpanManifest, before: list[SpanManifest]
) -> pd.DataFrame | None:
    """What models learned from so far; with one older span it would only repeat the drift."""
    if manifest.source != "collector" or len(before) < 2:
        return None
    newest = before[-1].number
    return lake.training_rows(newest, seed=manifest.number, at_most=_TRAINED_ROWS).read()


def _verdict(result: Examination, number: int, *, rules: str) -> Verdict:
    return Verdict(
        span=number,
        accepted=not result.reasons,
        reasons=result.reasons,
        at=datetime.now(UTC),
        tfdv_version=import_tfdv().__version__,
        rules=rules,
    )


def _ordered(found: list[Finding]) -> list[Finding]:
    """The likeliest cause first: a missing column or a changed unit explains the drift after it."""
    order = list(Check)
    return sorted(found, key=lambda f: order.index(f.check))
