"""What a row may say for its time."""

import re
from datetime import datetime

from kontinual.spec.data import YEARS

__all__ = ["moment_of"]

_FORM = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:[0-5]\d)?", re.ASCII
)


def moment_of(text: str) -> datetime | None:
    """The moment that a text names in ISO 8601, in its own offset if it has one.

    None if it names none, or one outside the years that tables can hold. Predictor and
    collector both ask here, so what is answered is logged as well.
    """
    # `fromisoformat` also takes weeks, compact and date-only forms, which tables do not.
    if not _FORM.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if YEARS[0] <= moment.year <= YEARS[1] else None
