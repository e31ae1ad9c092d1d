import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.model import ModelPackage
from kontinual.serving import Tally
from kontinual.serving.fields import Note
from kontinual.serving.tally import BUFFER, LATENCY_BUCKETS, code_class

nullable = st.none() | st.floats(-50, 150, width=32)
rows = st.tuples(
    st.integers(-1, 24),
    nullable,
    st.floats(0, 6000, width=32),
    st.integers(0, 3),
    st.integers(0, 2),
)
requests = st.lists(
    st.lists(st.tuples(rows, st.floats(0, 1, width=32)), min_size=1, max_size=4), max_size=12
)


def brute_force(package: ModelPackage, told: list[Any]) -> dict[str, Any]:
    """Every counter, one row at a time, by the definitions of `kontinual.spec.metrics`."""
    counts: dict[str, Any] = {f.name: [0] * len(f.bins) for f in package.reference.features}
    scores, entropy, low = [0] * 20, 0.0, 0
    for values, score in told:
        for feature, value in zip(package.reference.features, values, strict=True):
            if value is None:
                index = len(feature.bins) - 1
            else:
                index = sum(float(np.float32(edge)) < value for edge in feature.edges)
            counts[feature.name][index] += 1
        scores[min(int(np.float32(score) * 20), 19)] += 1
        low += bool(max(np.float32(score), np.float32(1) - np.float32(score)) < np.float32(0.6))
        for p in (score, 1 - score):
            entropy -= p * math.log(p) if p > 0 else 0.0
    return {"features": counts, "scores": scores, "entropy": entropy, "low": low}


@given(requests)
@settings(max_examples=60)
def test_counting_many_at_a_time_equals_counting_one_by_one(
    package: ModelPackage, requests: list[Any]
) -> None:
    tally = Tally(package.reference)
    for request in requests:
        matrix = np.array([[np.nan if v is None else v for v in r] for r, _ in request], np.float32)
        tally.rows(matrix, [score for _, score in request])
    tally.fold()
    told = [row for request in requests for row in request]
    expected = brute_force(package, told)
    assert tally.predictions == len(told)
    for feature, counts in zip(package.reference.features, tally.features, strict=True):
        assert counts.tolist() == expected["features"][feature.name], feature.name
    assert tally.scores.tolist() == expected["scores"]
    assert tally.low_confidence == expected["low"]
    assert tally.expected_log_loss == pytest.approx(expected["entropy"], abs=1e-4)
    assert tally.score_sum == pytest.approx(sum(s for _, s in told), abs=1e-5)


def test_a_full_buffer_is_counted_without_anybody_looking(package: ModelPackage) -> None:
    tally = Tally(package.reference)
    matrix = np.zeros((1, 5), np.float32)
    for _ in range(BUFFER + 1):
        tally.rows(matrix, [0.5])
    assert tally.predictions == BUFFER
    tally.fold()
    tally.fold()
    assert tally.predictions == BUFFER + 1


def test_requests_without_rows_are_counted_without_anybody_looking(package: ModelPackage) -> None:
    tally = Tally(package.reference)
    for _ in range(BUFFER + 1):
        tally.request(400, 0.5)
    assert tally.requests["4xx"] == BUFFER + 1
    assert tally.latency.sum() == BUFFER
    assert tally.latency_sum == pytest.approx(BUFFER / 2)


def test_what_is_counted_is_what_was_told_though_the_matrix_is_used_again(
    package: ModelPackage,
) -> None:
    tally, matrix = Tally(package.reference), np.zeros((1, 5), np.float32)
    tally.rows(matrix, [0.5])
    matrix[:] = np.nan
    tally.fold()
    assert [int(counts[-1]) for counts in tally.features] == [0] * 5


def test_a_request_is_anomalous_once_however_many_values_are(package: ModelPackage) -> None:
    odd = Note("temp", "out_of_range")
    tally = Tally(package.reference, kinds=[odd])
    assert tally.anomaly == {odd: 0}
    tally.anomalies([])
    tally.anomalies([odd, odd])
    assert tally.anomaly[odd] == 2
    assert tally.anomalous_requests == 1


def test_requests_fall_into_the_bucket_that_bounds_them(package: ModelPackage) -> None:
    tally = Tally(package.reference)
    tally.request(200, LATENCY_BUCKETS[0])
    tally.request(404, LATENCY_BUCKETS[0] * 1.01)
    tally.request(500, 1e9)
    assert tally.latency.sum() == 0
    tally.fold()
    tally.fold()
    assert tally.requests == {"200": 1, "4xx": 1, "5xx": 1}
    assert [tally.latency[0], tally.latency[1], tally.latency[-1]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (400, "4xx"), (413, "4xx"), (500, "5xx")]
)
def test_statuses_have_three_classes(status: int, label: str) -> None:
    assert code_class(status) == label
