"""TFDV's schema: inferred once, tightened by the declaration, evolved by people."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format

from kontinual.errors import LakeError, SpecError
from kontinual.spec import Validation
from kontinual.validation.expectation import Expectation
from kontinual.validation.statistics import import_tfdv

__all__ = ["expectations", "infer", "limited", "parse", "rewrite", "to_text"]

MAX_WHOLE = 2**53  # float64, which a declaration's bounds are, holds every one up to here
Schema = Any  # tensorflow_metadata.proto.v0.schema_pb2.Schema, known in the data environment only


def infer(statistics: Any, expected: Mapping[str, Expectation]) -> Schema:
    """The schema that TFDV infers of a first span, tightened by what is declared.

    Raises:
        SpecError: the range of a whole number reaches beyond 2^53.
    """
    return rewrite(import_tfdv().infer_schema(statistics), expected)


def rewrite(schema: Schema, expected: Mapping[str, Expectation]) -> Schema:
    """The schema with exactly the expected columns, each with its type, presence and domain.

    Raises:
        SpecError: the range of a whole number reaches beyond 2^53.
    """
    kept = {f.name: f for f in schema.feature}
    result = type(schema)()
    for name, expectation in expected.items():
        feature = result.feature.add()
        if name in kept:
            feature.CopyFrom(kept[name])
        _tighten(feature, expectation)
        if expectation.categorical:
            result.string_domain.add(name=name, value=expectation.vocabulary)
    return result


def expectations(schema: Schema) -> dict[str, Expectation]:
    """What a schema asks of each column, by name."""
    domains = {d.name: tuple(d.value) for d in schema.string_domain}
    return {f.name: _expectation(f, domains.get(f.domain, ())) for f in schema.feature}


def limited(
    schema: Schema,
    limits: Validation,
    *,
    drift_slack: Mapping[str, float],
    skew_slack: Mapping[str, float],
) -> Schema:
    """A copy with the declaration's limits for drift, skew and unseen categories.

    A feature that is allowed more drift than others moves by nature, and over many
    spans it moves without bound: it has no limit for skew (1, the greatest distance).

    Args:
        schema: the kept schema; limits are not kept in it, they stand in the declaration.
        limits: the declaration's section.
        drift_slack: what chance adds to a feature's drift, by name; nothing where it is not named.
        skew_slack: the same for its skew.
    """
    copy = type(schema)()
    copy.CopyFrom(schema)
    for feature in copy.feature:
        own = limits.max_drift_by_feature.get(feature.name, 0.0)
        drift = (own or limits.max_drift) + drift_slack.get(feature.name, 0.0)
        skew = limits.max_skew + skew_slack.get(feature.name, 0.0)
        if own > limits.max_drift:
            skew = 1.0
        for comparator, limit in (
            (feature.drift_comparator, drift),
            (feature.skew_comparator, skew),
        ):
            category = feature.HasField("domain")
            kind = "infinity_norm" if category else "jensen_shannon_divergence"
            getattr(comparator, kind).threshold = min(1.0, limit)
        if feature.HasField("domain"):
            feature.distribution_constraints.min_domain_mass = 1 - limits.max_unseen
    return copy


def to_text(schema: Schema) -> str:
    """The schema as text (pbtxt)."""
    return str(text_format.MessageToString(schema, as_utf8=True))


def parse(text: str, *, source: str) -> Schema:
    """The schema of a text.

    Raises:
        LakeError: it is no schema.
    """
    import_tfdv()  # first, for its own way to load protobuf
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        return text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as exc:
        raise LakeError(f"{source}: not a TFDV schema: {exc}") from exc


def _tighten(feature: Any, expectation: Expectation) -> None:
    for group in ("domain_info", "presence_constraints", "shape_type"):
        field = feature.WhichOneof(group)
        if field:
            feature.ClearField(field)
    feature.name = expectation.name
    feature.type = {"number": 3, "integer": 2, "category": 1}[expectation.type]
    feature.presence.min_count = 1
    if expectation.nullable:
        feature.presence.min_fraction = 0.0
    else:
        feature.presence.min_fraction = 1.0
    feature.value_count.min = feature.value_count.max = 1
    feature.annotation.Clear()
    if expectation.unit:
        feature.annotation.tag.append(f"unit:{expectation.unit}")
    if expectation.label:
        feature.annotation.tag.append("label")
    _set_domain(feature, expectation)


def _set_domain(feature: Any, expectation: Expectation) -> None:
    if expectation.categorical:
        feature.domain = expectation.name
        return
    whole = expectation.type == "integer"
    domain = feature.int_domain if whole else feature.float_domain
    domain.SetInParent()
    for field, bound in (("min", expectation.low), ("max", expectation.high)):
        if bound is not None:
            setattr(domain, field, _whole(bound, expectation.name) if whole else bound)


def _whole(bound: float, name: str) -> int:
    if not abs(bound) <= MAX_WHOLE:
        raise SpecError(
            f"`{name}`: whole numbers are exact up to 2^53 only, but its range reaches to "
            f"{bound:g}; declare a nearer bound, or `type: number`"
        )
    return int(bound)


def _expectation(feature: Any, vocabulary: tuple[str, ...]) -> Expectation:
    tags = list(feature.annotation.tag)
    unit = next((t.removeprefix("unit:") for t in tags if t.startswith("unit:")), "")
    domain: Any = None
    for field in ("int_domain", "float_domain"):
        if feature.HasField(field):
            domain = getattr(feature, field)
    return Expectation(
        name=feature.name,
        type={3: "number", 2: "integer", 1: "category"}[feature.type],
        nullable=feature.presence.min_fraction < 1,
        low=domain.min if domain is not None and domain.HasField("min") else None,
        high=domain.max if domain is not None and domain.HasField("max") else None,
        vocabulary=vocabulary,
        unit=unit,
        label="label" in tags,
    )
