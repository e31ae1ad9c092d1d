"""The third step: is the data fit to be learnt from?"""

from pathlib import Path

from kontinual.lake import Verdict
from kontinual.steps.station import Station, station
from kontinual.validation import is_open, rules_of, validate_span

__all__ = ["validate"]


def validate(loop: str, run_id: str, span: int, *, report: Path) -> Verdict:
    """Judge a span, and before it every older one that is still to be judged.

    Args:
        loop: URL of the declaration.
        run_id: the run's name.
        span: number of the span this run wants to train on.
        report: where the HTML report on that span is written.
    """
    with station("validate", loop, run_id) as here:
        for number in _open_before(here, span):
            validate_span(here.loop, here.lake, number, report=report)
        verdict = here.lake.verdict(span)
        if verdict is None or verdict.by == "validation":
            verdict = validate_span(here.loop, here.lake, span, report=report)
        here.note(span=span, accepted=verdict.accepted, reasons=verdict.reasons)
        return verdict


def _open_before(here: Station, span: int) -> list[int]:
    rules = rules_of(here.loop, here.lake)
    spans = (s.number for s in here.lake.spans())
    return [n for n in spans if n < span and is_open(here.lake.verdict(n), rules=rules)]
