"""The statistics that TFDV computes of rows. Importing TFDV takes seconds, so it is late."""

import io
import logging
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pandas as pd

from kontinual.errors import KontinualError
from kontinual.validation.expectation import Expectation

__all__ = ["describe", "import_tfdv", "stats_options", "tabulate"]

_RANKS = 10_000  # a vocabulary's greatest length


def import_tfdv() -> Any:
    """TensorFlow Data Validation, any version of 1.16 to 1.21.

    Raises:
        KontinualError: this environment does not have it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _silence():
            import tensorflow_data_validation as tfdv
    except ImportError as exc:
        raise KontinualError(
            f"TensorFlow Data Validation can not be imported here ({exc}); validation runs in the "
            "environment of the data image (images/data), on a laptop .venv-data"
        ) from exc
    return tfdv


def describe(frame: pd.DataFrame, expected: Mapping[str, Expectation], *, ignore: set[str]) -> Any:
    """TFDV's statistics (a DatasetFeatureStatisticsList) of the rows.

    Args:
        frame: the rows, one at least.
        expected: columns the schema knows, by name.
        ignore: columns left out, such as id and time; those with `_` are left out anyway.
    """
    table = tabulate(frame, expected, ignore=ignore)
    tfdv, options = import_tfdv(), stats_options()
    # It takes means of infinite values, too; that there are some is found without it.
    with np.errstate(invalid="ignore", over="ignore"):
        return tfdv.generate_statistics_from_dataframe(table, options)


def stats_options() -> Any:
    """What TFDV is asked for, whichever way it goes."""
    return import_tfdv().StatsOptions(num_rank_histogram_buckets=_RANKS)


def tabulate(
    frame: pd.DataFrame,
    expected: Mapping[str, Expectation],
    *,
    ignore: set[str],
    whole: Collection[str] | None = None,
) -> pd.DataFrame:
    """The columns as TFDV should see them: whole numbers as INT, and one type in each column.

    Args:
        frame: the rows, or a part of them.
        expected: columns the schema knows, by name.
        ignore: columns left out; those with `_` are left out anyway.
        whole: columns that hold whole numbers in all parts; where it is left out the frame is
            all there is, and its values tell.
    """
    columns = {
        str(name): _column(
            frame[name], expected.get(str(name)), None if whole is None else name in whole
        )
        for name in frame.columns
        if name not in ignore and not str(name).startswith("_")
    }
    return pd.DataFrame(columns).reset_index(drop=True)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what TFDV's dependencies print, warn and log while they are imported from the user.

    A log line of theirs would also leave a handler on the root logger, bound to the muted stream.
    """
    handlers, muted = list(logging.root.handlers), io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(muted), redirect_stderr(muted):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.root.handlers[:] = handlers


def _column(
    column: "pd.Series[Any]", expectation: Expectation | None, whole: bool | None
) -> "pd.Series[Any]":
    kind = column.dtype.kind
    if kind not in "iufb":
        texts = column.map(lambda v: v if isinstance(v, str) else str(v), na_action="ignore")
        return texts.astype(object)
    if expectation is not None and expectation.type == "number":
        return column.astype(np.float64)
    if whole is None:
        integer = expectation is not None and expectation.type == "integer"
        whole = integer and kind == "f" and bool((column.dropna() % 1 == 0).all())
    return column.astype("Int64") if whole else column
