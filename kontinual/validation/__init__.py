"""The gate: statistics, schema, anomalies, drift and skew of a span, brought to a verdict.

Runs in the environment of the data image, the only one with TFDV; importing
this package is light, TFDV is imported when it is first used.
"""

from kontinual.validation.evolution import changes, evolve
from kontinual.validation.expectation import Expectation, declared
from kontinual.validation.findings import Check, Finding
from kontinual.validation.gate import Examination, ensure_schema, examine, validate_span
from kontinual.validation.review import Proposal, accept, propose
from kontinual.validation.rules import is_open, rules_of
from kontinual.validation.schema_store import SchemaStore, SchemaVersion

__all__ = [
    "Check",
    "Examination",
    "Expectation",
    "Finding",
    "Proposal",
    "SchemaStore",
    "SchemaVersion",
    "accept",
    "changes",
    "declared",
    "ensure_schema",
    "evolve",
    "examine",
    "is_open",
    "propose",
    "rules_of",
    "validate_span",
]
