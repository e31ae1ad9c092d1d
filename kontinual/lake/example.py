"""A row as a request would say it, to show a person how the loop is asked."""

from typing import Any

import pandas as pd

from kontinual.errors import LakeError
from kontinual.lake.history import history_rows
from kontinual.lake.lake import Lake
from kontinual.spec import Data

__all__ = ["example_row"]


def example_row(lake: Lake, *, base: str) -> tuple[dict[str, Any], str]:
    """A labelled row of the newest accepted span, or of the history where there is none yet.

    Of the rows read first it is the latest with the fewest gaps.

    Args:
        lake: of the loop.
        base: folder or URL that relative paths of the history count from.

    Returns:
        Features and label by name as JSON values, and where the row is from.

    Raises:
        LakeError: neither can be read.
    """
    data = lake.loop.data
    names = [*data.feature_names, data.label.name]
    for span in reversed(lake.accepted()):
        known = [name for name in names if name in span.columns]
        frame = next(lake.parts(span.number, known))
        return _clearest(frame, data), f"a row of span {span.number}"
    with history_rows(lake.loop, base=base) as rows:
        for frame in rows.frames()():
            return _clearest(frame, data), "a row of the history"
    raise LakeError("the history holds no row")


def _clearest(frame: pd.DataFrame, data: Data) -> dict[str, Any]:
    gaps = frame.isna().sum(axis="columns").to_numpy()
    row = frame.iloc[len(gaps) - 1 - gaps[::-1].argmin()]
    values = {f.name: _value(row.get(f.name), f.type) for f in data.features}
    return {**values, data.label.name: int(row[data.label.name])}


def _value(value: Any, kind: str) -> Any:
    if value is None or pd.isna(value):
        return None
    if kind == "category":
        return str(value)
    return int(value) if kind == "integer" else float(value)
