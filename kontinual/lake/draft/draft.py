"""From labelled rows to the text of a loop.yaml that is valid and says why it is as it is."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pandas as pd

from kontinual.errors import LakeError, SpecError
from kontinual.lake.draft.columns import Feature, LeftOut, describe
from kontinual.lake.draft.pace import Pace
from kontinual.lake.draft.text import Head, declaration
from kontinual.lake.table import ids, labels, require, times
from kontinual.spec import Loop, parse_loop

__all__ = ["Draft", "draft_loop"]

_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "æ": "ae"})
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?")


@dataclass(frozen=True)
class Draft:
    """A declaration to go on from."""

    text: str  # of loop.yaml, with comments
    loop: Loop  # what the text declares
    left_out: dict[str, str]  # column → why it is no feature


def draft_loop(
    frame: pd.DataFrame,
    *,
    name: str,
    id: str,  # noqa: A002  as in the declaration
    time: str,
    label: str,
    history: str,
    delay: timedelta = timedelta(days=1),
    leave_out: Sequence[str] = (),
    units: Mapping[str, str] = MappingProxyType({}),
) -> Draft:
    """Draft a declaration from labelled rows.

    Every other column becomes a feature: a number with the range that was seen and a tenth
    more, a category with the texts that were seen; one that tells nothing is left out.
    Lengths of time and numbers of rows follow from how fast the rows come.

    Args:
        frame: the labelled rows.
        name: of the loop, a lower-case DNS label.
        id: column that identifies a row.
        time: column with the moment of a prediction.
        label: column with 1 or 0, what is to be predicted.
        history: path or URL of the same rows, as the declaration is to name it.
        delay: how long after a prediction its label is known.
        leave_out: columns that are no features, such as those that tell the label.
        units: of numbers, by column, such as miles; validation tells a season from a change
            of units by them.

    Returns:
        The draft. Its text passes `kontinual check`.

    Raises:
        SpecError: a name can not stand in a declaration.
        LakeError: a column is missing, a row has no id, time or label, or no feature is left.
    """
    source = f"draft of {name!r}"
    _check_names(frame, name, [id, time, label], leave_out, source=source)
    moments, _, known = (
        times(frame[time], source=source),
        ids(frame[id], source=source),
        labels(frame[label], source=source),
    )
    if known.nunique() < 2:
        raise LakeError(
            f"{source}: column {label!r} is {known.iloc[0]} in every row; "
            "a model learns from rows with 0 and rows with 1"
        )
    order = moments.argsort(kind="stable")
    roles = {id, time, label, *leave_out}
    names = [column for column in frame.columns if column not in roles]
    positives = float(known.mean())
    pace = Pace(moments.iloc[order], rarer=min(positives, 1 - positives))
    described = [describe(column, frame[column].iloc[order], pace.spans) for column in names]
    features = [found for found in described if isinstance(found, Feature)]
    left_out = {found.name: found.reason for found in described if isinstance(found, LeftOut)}
    if not features:
        why = "; ".join(f"{column}: {reason}" for column, reason in left_out.items())
        raise LakeError(f"{source}: no column is left as a feature ({why or 'there is no other'})")
    _check_units(units, features, source=source)
    head = Head(name=name, id=id, time=time, label=label, delay=delay, history=history, units=units)
    text = declaration(head, features, left_out, pace, positives=positives)
    return Draft(text, parse_loop(text, source=source), left_out)


def _check_names(
    frame: pd.DataFrame, name: str, roles: list[str], leave_out: Sequence[str], *, source: str
) -> None:
    if not _NAME.fullmatch(name):
        raise SpecError(
            "a loop's name is a lower-case DNS label of up to 42 letters that begins with a "
            f"letter, such as {_as_name(name) or 'my-loop'}, but got {name!r}"
        )
    require(list(frame.columns), [*roles, *leave_out], source=source)
    if frame.empty:
        raise LakeError(f"{source}: there are no rows")
    if len(set(roles)) < len(roles) or set(roles) & set(leave_out):
        raise SpecError(f"id, time and label are three columns, all needed, but got {roles}")
    twice = sorted(map(str, frame.columns[frame.columns.duplicated()]))
    if twice:
        raise LakeError(f"{source}: columns need distinct names, but {twice} stand twice")
    wrong = [c for c in frame.columns if c not in leave_out and not _is_column(c)]
    if wrong:
        shown = ", ".join(f"{c!r} (to {_as_column(c)}?)" for c in wrong)
        raise SpecError(
            f"{source}: a column is called by up to 63 letters, digits and _, a letter first; "
            f"rename or leave out {shown}"
        )


def _check_units(units: Mapping[str, str], features: Sequence[Feature], *, source: str) -> None:
    numbers = [f.name for f in features if f.type != "category"]
    wrong = sorted(set(units) - set(numbers))
    if wrong:
        raise SpecError(
            f"{source}: a unit is that of a feature with numbers, {', '.join(numbers) or 'none'}; "
            f"but got one of {', '.join(wrong)}"
        )


def _is_column(name: Any) -> bool:
    return isinstance(name, str) and _COLUMN.fullmatch(name) is not None


def _as_column(name: Any) -> str:
    letters = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFC", str(name)).lower().translate(_LETTERS)
    )
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    words = "_".join(re.findall(r"[a-z0-9]+", plain))
    return (words if words[:1].isalpha() else f"c_{words}")[:63].rstrip("_")


def _as_name(name: str) -> str:
    joined = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
    return joined.lstrip("0123456789-")[:42].rstrip("-")
