"""A small shop: one row per visit, will it end with a purchase?"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from kontinual.spec import Loop, parse_loop
from kontinual.validation import Expectation, declared
from kontinual.validation.look import Look, look

SHOP = """
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: shop
data:
  id: visit
  time: at
  label: {name: bought, delay: 1d}
  history: {table: visits.parquet}
  features:
    - {name: weight, type: number, range: [0, 400], unit: lb}
    - {name: outside, type: number, range: [-40, 120], unit: °F, nullable: true}
    - {name: pages, type: integer, range: [1, 200]}
    - {name: country, type: category, vocabulary: [AT, CH, DE, FR]}
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0}]
monitoring: {alerts: [{kind: feature_drift, threshold: 0.2}]}
"""


@pytest.fixture
def loop() -> Loop:
    return parse_loop(SHOP)


@pytest.fixture
def expected(loop: Loop) -> dict[str, Expectation]:
    return declared(loop)


@pytest.fixture
def seen(expected: dict[str, Expectation]) -> Callable[[pd.DataFrame], Look]:
    """Looks at visits; those of None are None."""

    def run(frame: pd.DataFrame | None) -> Look | None:
        if frame is None:
            return None
        return look(lambda: [frame], len(frame), expected=expected, id_name="visit")

    return run


@pytest.fixture
def visits() -> Callable[..., pd.DataFrame]:
    """Makes n visits; the same for the same seed."""
    return make_visits


def make_visits(rows: int = 1000, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    pages = rng.integers(1, 40, rows)
    return pd.DataFrame(
        {
            "visit": [f"v{seed}-{i}" for i in range(rows)],
            "at": pd.date_range("2026-01-01", periods=rows, freq="min", tz="UTC"),
            "weight": rng.gamma(4, 20, rows),
            "outside": rng.normal(55, 12, rows),
            "pages": pages,
            "country": rng.choice(["AT", "CH", "DE", "FR"], rows, p=[0.1, 0.1, 0.6, 0.2]),
            "bought": (rng.random(rows) < 0.1 + pages / 100).astype(int),
        }
    )
