"""The second step: matured rows become a span."""

import posixpath

from kontinual.errors import LakeError
from kontinual.lake import SpanManifest, ingest_history, ingest_labelled
from kontinual.steps.station import Station, station
from kontinual.validation import is_open, rules_of

__all__ = ["ingest"]


def ingest(loop: str, run_id: str) -> SpanManifest:
    """Write what is new as a span.

    The first run of a loop takes its declared history, every later one the rows
    whose labels have matured at the collector. Without new rows the newest
    accepted span is trained on again.

    Returns:
        The span to work on.

    Raises:
        LakeError: there is no row to be had at all.
    """
    with station("ingest", loop, run_id) as here:
        if not _history(here):
            ingest_labelled(here.loop, here.lake, collector=here.settings.collector)
        number = _newest(here)
        span = here.lake.span(number)
        here.note(span=number, rows=span.rows, start=str(span.start), end=str(span.end))
        return span


def _history(here: Station) -> list[SpanManifest]:
    """What is still missing of the history.

    Asked for until a span came from the collector, as a first run may have been
    killed midway; what is in the lake already is not written twice.
    """
    if any(span.source == "collector" for span in here.lake.spans()):
        return []
    return ingest_history(here.loop, here.lake, base=posixpath.dirname(here.url) or ".")


def _newest(here: Station) -> int:
    """The newest span that has not been refused by the rules of now."""
    rules = rules_of(here.loop, here.lake)
    for span in reversed(here.lake.spans()):
        verdict = here.lake.verdict(span.number)
        if is_open(verdict, rules=rules) or (verdict and verdict.accepted):
            return span.number
    raise LakeError(
        f"loop {here.loop.name!r} has no span to train on: every one was refused; "
        "`kontinual span show` tells why. Mend loop.yaml or the schema (`kontinual schema diff`), "
        "and the next run judges them again; or `kontinual span accept` those that are right"
    )
