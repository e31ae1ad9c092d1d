import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import fsspec
import numpy as np
import pandas as pd
import pytest

from kontinual.lake import Lake, Verdict
from kontinual.spec import Loop

START = pd.Timestamp("2026-01-01", tz="UTC")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

Rows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def loop() -> Loop:
    """A small loop: one feature of each type."""
    return Loop.model_validate(
        {
            "apiVersion": "kontinual.dev/v1alpha1",
            "kind": "Loop",
            "name": "shop",
            "data": {
                "id": "order",
                "time": "at",
                "label": {"name": "returned", "delay": "14d"},
                "features": [
                    {"name": "price", "type": "number", "range": [0, 1000]},
                    {"name": "items", "type": "integer", "range": [1, 50], "nullable": True},
                    {"name": "colour", "type": "category", "vocabulary": ["red", "blue"]},
                ],
                "history": {"table": "orders.parquet"},
                "span": "10d",
                "holdout": 0.25,
                "replay_rows": 320,
            },
            "training": {"trainers": [{"algorithm": "logistic_regression"}]},
            "gates": [{"metric": "log_loss", "on": "new", "max_regression": 0.0, "min_rows": 90}],
            "monitoring": {"alerts": [{"kind": "quality_decay", "threshold": 0.05}]},
        }
    )


@pytest.fixture
def rows() -> Rows:
    """Makes rows: `rows(n, first=0)` are orders first … first + n - 1, one an hour."""

    def make(n: int, *, first: int = 0, seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng([seed, first])
        return pd.DataFrame(
            {
                "order": [f"o{i}" for i in range(first, first + n)],
                "at": START + pd.to_timedelta(np.arange(first, first + n), unit="h"),
                "price": rng.uniform(0, 1000, n),
                "items": rng.integers(1, 50, n),
                "colour": rng.choice(["red", "blue"], n),
                "returned": rng.integers(0, 2, n),
            }
        )

    return make


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """A fresh lake's address, on disk and on an object-like store."""
    if request.param == "file":
        yield (tmp_path / "lake").as_uri()
        return
    root = f"/lake-{uuid.uuid4().hex}"
    yield f"memory:/{root}"
    fsspec.filesystem("memory").rm(root, recursive=True)


@pytest.fixture
def lake(url: str, loop: Loop) -> Lake:
    lake = Lake(url, loop, clock=lambda: NOON)
    lake.store.write("born", b"")  # so that there is always something to remove
    return lake


@pytest.fixture
def disk(tmp_path, loop: Loop) -> Lake:
    """A lake on disk, for what only a disk can suffer."""
    return Lake(str(tmp_path / "disk"), loop, clock=lambda: NOON)


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    def make(span: int, *, accepted: bool = True, by: str = "validation") -> Verdict:
        reasons = [] if accepted else ["price: 30 % null"]
        return Verdict(span=span, accepted=accepted, by=by, reasons=reasons, at=NOON)

    return make
