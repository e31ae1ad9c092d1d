"""Features of every kind, and a reference made of them."""

import numpy as np
import pytest

from kontinual.model import Quality, Reference
from kontinual.spec import CategoryFeature, Feature, IntegerFeature, NumberFeature


@pytest.fixture
def features() -> list[Feature]:
    return [
        NumberFeature(name="temp", range=(-20, 115), nullable=True),
        IntegerFeature(name="hour", range=(0, 23)),
        CategoryFeature(name="origin", vocabulary=["EWR", "JFK", "LGA"]),
    ]


@pytest.fixture
def quality_at_birth() -> Quality:
    return Quality(
        rows=100,
        roc_auc=0.7,
        binned_roc_auc=0.69,
        log_loss=0.5,
        brier=0.2,
        base_rate=0.2,
        expected_log_loss=0.5,
    )


@pytest.fixture
def reference(features: list[Feature], quality_at_birth: Quality) -> Reference:
    rng = np.random.default_rng(0)
    matrix = np.column_stack(
        [rng.normal(60, 20, 400), rng.integers(0, 24, 400), rng.integers(0, 4, 400)]
    ).astype(np.float32)
    matrix[::10, 0] = np.nan
    return Reference.of(features, matrix, rng.random(100), quality_at_birth)
