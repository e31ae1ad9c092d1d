"""Does a feature give the label away? What no honest feature does, a mistake upstream easily does.

Three signs, each for the values, and for "null or not":

1. the feature alone ranks the labels almost perfectly (ROC AUC surely above 0.98);
2. one single value (or null) separates them as well;
3. one value stands, in bulk, on rows of one label only, and so seldom does this
   happen by chance that it is no accident. Few exceptions are a sign only where many
   were to be expected: of a label that 99.7 % of all rows have, 99.7 % of any value's
   rows have it too.

Of few rows with the rarer label the first two say nothing: chance alone ranks three of them well.
Of some more, an honest feature of 0.97 ranks those of many a span with 0.99: it is refused where it
ranks all without a fault, or by two standard errors better than an honest one; else only noted.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kontinual.validation.expectation import Expectation
from kontinual.validation.findings import Check, Finding, percent, quoted

__all__ = ["check_leakage", "roc_auc"]

MAX_AUC = 0.98
BULK = 0.2
"""Share of one label's rows that a tell-tale value must cover."""
MAX_EXCEPTIONS = 0.005
"""Share of a tell-tale value's rows that may have the other label."""
MAX_OF_EXPECTED = 0.01
"""Exceptions of a tell-tale value, as a share of those of a value that says nothing.

A good feature lowers a risk tenfold or more; all but none of it is what only the label knows.
"""
FEWEST = 10
"""Rows of the rarer label that a ranking needs: noise ranks r of them with a ROC AUC of
0.98 by a chance of at most (0.02 e)^r, which is 2e-13."""
_LOG_CHANCE = -30.0  # about 1e-13
_ERRORS = 2.0  # standard errors
_SPREAD = 0.002987
"""Variance of a row's chance to be ranked right, where ROC AUC is 0.98.

Over the rows of one label, in the binormal model of equal variances: P(X > Y, X > Y') - 0.98^2. The
estimate's variance is it times (1/n + 1/m) for n and m rows of the labels (DeLong et al. 1988).
"""
_TOP = 20

Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def check_leakage(
    frame: pd.DataFrame,
    previous: pd.DataFrame | None,
    *,
    label: str,
    expected: Mapping[str, Expectation],
) -> list[Finding]:
    """The features that give the label away.

    One that did so in the accepted span before as well was judged then, and is
    only noted now.
    """
    if not _both_labels(frame, label):
        return []
    found = []
    for name, expectation in expected.items():
        if expectation.label or name not in frame.columns:
            continue
        sign = _sign(frame[name], frame[label], expectation)
        if sign:
            known = sign.sure and _known(name, previous, label, expectation)
            found.append(_finding(name, label, sign, known_before=known))
    return found


def _known(name: str, previous: pd.DataFrame | None, label: str, expectation: Expectation) -> bool:
    """Did it surely give the label away in the accepted span before?"""
    if previous is None or name not in previous.columns or not _both_labels(previous, label):
        return False
    sign = _sign(previous[name], previous[label], expectation)
    return sign is not None and sign.sure


def roc_auc(scores: npt.NDArray[np.float64], labels: Labels) -> float:
    """Chance that a row of label 1 scores above one of label 0, ties counting half."""
    ranks = pd.Series(scores).rank().to_numpy()
    positives = int(labels.sum())
    negatives = len(labels) - positives
    total = float(ranks[labels == 1].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def _both_labels(frame: pd.DataFrame, label: str) -> bool:
    """Has each row a label, and are there rows of both?"""
    return label in frame.columns and set(frame[label].unique()) == {0, 1}


@dataclass(frozen=True)
class _Sign:
    """Why a feature seems to give the label away."""

    sentence: str
    sure: bool = True


def _finding(name: str, label: str, sign: _Sign, *, known_before: bool) -> Finding:
    gives = "gives" if sign.sure else "may give"
    since = "; it did so in the accepted span before too" if known_before else ""
    return Finding(
        check=Check.LEAKAGE,
        feature=name,
        refuses=sign.sure and not known_before,
        sentence=f"`{name}`: it {gives} the label `{label}` away: {sign.sentence}{since}",
    )


def _sign(
    column: "pd.Series[Any]", label: "pd.Series[Any]", expectation: Expectation
) -> _Sign | None:
    labels = np.asarray(label, dtype=np.int64)
    values = list(_common_values(column))
    signs = [_Sign(s) for v, mask in values for s in _tells(v, mask, labels)]
    if np.bincount(labels).min() >= FEWEST and not column.isna().all():
        separated = [s for v, mask in values for s in _separates(v, mask, labels)]
        signs = [*separated, *signs, *_ranking(column, labels, expectation)]
    return min(signs, key=lambda sign: not sign.sure, default=None)


def _common_values(column: "pd.Series[Any]") -> Iterator[tuple[str, Mask]]:
    """Null and the commonest values, each with the rows that have it."""
    candidates = [("null", column.isna().to_numpy())]
    candidates += [
        (quoted(v), np.asarray(column == v, dtype=bool))
        for v in column.value_counts().head(_TOP).index
    ]
    yield from ((name, mask) for name, mask in candidates if 0 < mask.sum() < len(mask))


def _separates(value: str, mask: Mask, labels: Labels) -> Iterator[_Sign]:
    auc = roc_auc(mask.astype(np.float64), labels)
    auc = max(auc, 1 - auc)
    if auc > MAX_AUC:
        said = f"being {value} or not alone separates it (ROC AUC {auc:.3f}, {_most(labels)})"
        yield _Sign(said, sure=_surely_above(auc, labels))


def _surely_above(auc: float, labels: Labels) -> bool:
    """Is it greater than an honest feature's, by more than chance?"""
    return auc == 1 or auc > MAX_AUC + _ERRORS * _error(labels)


def _error(labels: Labels) -> float:
    """Standard error of a ROC AUC of 0.98."""
    return math.sqrt(_SPREAD * float(np.sum(1 / np.bincount(labels))))


def _most(labels: Labels) -> str:
    return (
        f"{MAX_AUC} is the most an honest feature reaches, and chance adds "
        f"{_ERRORS * _error(labels):.2g} in so many rows"
    )


def _tells(value: str, mask: Mask, labels: Labels) -> Iterator[str]:
    count = int(mask.sum())
    for side in (0, 1):
        others = int((labels[mask] != side).sum())
        rate = float(np.mean(labels != side))
        bulk = (count - others) / int((labels == side).sum())
        few = others <= count * min(MAX_EXCEPTIONS, MAX_OF_EXPECTED * rate)
        if few and bulk >= BULK and _log_chance(others, count, rate) < _LOG_CHANCE:
            yield (
                f"{value} stands on {percent(bulk)} of the rows with label {side} and on "
                f"{others or 'none'} of the others"
            )


def _log_chance(found: int, count: int, rate: float) -> float:
    """Chance, at most, that of so many rows so few are exceptions, at an expected rate.

    Chernoff's bound of the binomial's lower tail (Hoeffding 1963, theorem 1), which holds
    for rows drawn without replacement too; exact where there is no exception.
    """
    share = found / count
    divergence = (1 - share) * math.log((1 - share) / (1 - rate))
    if found:
        divergence += share * math.log(share / rate)
    return -count * divergence


def _ranking(column: "pd.Series[Any]", labels: Labels, expectation: Expectation) -> Iterator[_Sign]:
    if expectation.categorical or column.dtype == object:
        # Far below 0.5 one half has most positives by chance, and lifts the scores of the other.
        auc = roc_auc(_target_means(column.astype(str), labels), labels)
    else:
        scores = np.asarray(column.astype("float64"))
        auc = roc_auc(np.where(np.isnan(scores), np.nanmedian(scores), scores), labels)
        auc = max(auc, 1 - auc)
    if auc > MAX_AUC:
        said = f"alone it ranks the rows with ROC AUC {auc:.3f}, {_most(labels)}"
        yield _Sign(said, sure=_surely_above(auc, labels))


def _target_means(column: "pd.Series[str]", labels: Labels) -> npt.NDArray[np.float64]:
    """Mean label of a row's category in the other half of the rows: rare ones prove nothing."""
    half = np.random.default_rng(0).integers(0, 2, len(labels))  # rows may alternate by themselves
    scores = np.full(len(labels), float(labels.mean()))
    for side in (0, 1):
        means = pd.Series(labels[half != side]).groupby(column.to_numpy()[half != side]).mean()
        mapped = column[half == side].map(means).to_numpy(dtype=np.float64)
        scores[half == side] = np.where(np.isnan(mapped), labels.mean(), mapped)
    return scores
