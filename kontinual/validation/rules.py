"""What a verdict hangs on besides the rows: once it changes, a refused span may be right."""

import hashlib
import json

from kontinual.lake import Lake, Verdict
from kontinual.spec import Loop
from kontinual.validation.schema_store import SchemaStore

__all__ = ["is_open", "rules_of"]


def rules_of(loop: Loop, lake: Lake) -> str:
    """Digest of what validation judges by now: the declared columns and limits, the schema.

    Args:
        loop: the declaration.
        lake: holds the versions of the schema; one without any has none in force.
    """
    told = loop.model_dump(mode="json", include={"data", "validation"})
    versions = [about.version for about in SchemaStore(lake).versions()]
    text = json.dumps([told, max(versions, default=0)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_open(verdict: Verdict | None, *, rules: str) -> bool:
    """Has validation still to judge the span?

    So it has where it never did, and where it refused the span by other rules: who mends the
    declaration or accepts a schema has mended the verdict too. What was accepted stays so, as
    models learned from it, and a person's word counts over all.

    Args:
        verdict: that counts for the span.
        rules: in force now, by `rules_of`.
    """
    if verdict is None:
        return True
    return not (verdict.accepted or verdict.by_person or verdict.rules == rules)
