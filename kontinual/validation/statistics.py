"""The statistics that TFDV computes of rows. Importing TFDV takes seconds, so it is late."""

import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pandas as pd

from kontinual.errors import KontinualError
from kontinual.validation.expectation import Expectation

__all__ = ["describe", "import_tfdv", "tabulate"]

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
    tfdv = import_tfdv()
    options = tfdv.StatsOptions(num_rank_histogram_buckets=_RANKS)
    return tfdv.generate_statistics_from_dataframe(
        tabulate(frame, expected, ignore=ignore), options
    )


def tabulate(
    frame: pd.DataFrame, expected: Mapping[str, Expectation], *, ignore: set[str]
) -> pd.DataFrame:
    """The columns as TFDV should see them: whole numbers as INT, and one type in each column."""
    columns = {
        str(name): _column(frame[name], expected.get(str(name)))
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


def _column(column: "pd.Series[Any]", expectation: Expectation | None) -> "pd.Series[Any]":
    kind = column.dtype.kind
    if kind in "iufb":
        whole = expectation is not None and expectation.type == "integer" and kind == "f"
        if whole and bool((column.dropna() % 1 == 0).all()):
            return column.astype("Int64")
        if expectation is not None and expectation.type == "number":
            return column.astype(np.float64)
        return column
    return column.map(lambda v: v if isinstance(v, str) else str(v), na_action="ignore").astype(
        object
    )
