"""The way into a network, and its ONNX, against plain NumPy."""

import itertools

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kontinual.spec import CategoryFeature, Feature, NumberFeature
from kontinual.training.export import onnx_scores
from kontinual.training.mlp import Columns, to_onnx

Floats = npt.NDArray[np.float32]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[Feature], Floats, int]:
    """Features, a matrix of them with nulls and unseen codes, and a seed of weights."""
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    features: list[Feature] = [
        CategoryFeature(name=f"f{i}", vocabulary=["a", "b", "c"])
        if category
        else NumberFeature(name=f"f{i}", range=(0, 1))
        for i, category in enumerate(kinds)
    ]
    rows = draw(st.integers(1, 12))
    number = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")))
    code = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])
    columns = [
        draw(arrays.arrays(np.float32, rows, elements=code if category else number))
        for category in kinds
    ]
    return features, np.column_stack(columns), draw(st.integers(0, 2**32 - 1))


@given(case=_cases(), hidden=st.integers(0, 2))
def test_the_onnx_graph_is_the_network_on_any_columns(
    case: tuple[list[Feature], Floats, int], hidden: int
) -> None:
    features, matrix, seed = case
    columns = Columns.of(matrix, features)
    numbers, codes = columns.inputs(matrix)
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> Floats:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    embeddings = [random(size, 2) for size in columns.sizes]
    value = np.hstack([numbers, *(table[codes[:, i]] for i, table in enumerate(embeddings))])
    widths = [value.shape[1], *[4] * hidden, 1]
    layers = [(random(a, b), random(b)) for a, b in itertools.pairwise(widths)]
    for weights, biases in layers[:-1]:
        value = np.maximum(value @ weights + biases, 0)
    logits = (value @ layers[-1][0] + layers[-1][1])[:, 0]
    served = onnx_scores(to_onnx(columns, len(features), embeddings, layers), matrix)
    np.testing.assert_allclose(served, 1 / (1 + np.exp(-logits)), atol=1e-5)


@given(case=_cases())
def test_whatever_comes_enters_the_network_as_finite_and_bounded(
    case: tuple[list[Feature], Floats, int],
) -> None:
    features, matrix, _ = case
    columns = Columns.of(matrix[:1], features)  # other rows than it was made of
    numbers, codes = columns.inputs(matrix)
    assert np.isfinite(numbers).all()
    assert (np.abs(numbers) <= 10).all()
    assert ((codes >= 0) & (codes < np.array(columns.sizes))).all()


def test_nulls_are_flagged_only_where_training_had_them() -> None:
    features: list[Feature] = [NumberFeature(name=n, range=(0, 9)) for n in ("steady", "gappy")]
    matrix = np.array([[1, np.nan], [3, 5], [5, 7]], dtype=np.float32)
    columns = Columns.of(matrix, features)
    numbers, _ = columns.inputs(np.array([[np.nan, np.nan]], dtype=np.float32))
    assert columns.flagged == [1]
    assert numbers.tolist() == [[0, 0, 1]]  # the means, and one flag


def test_a_spread_too_small_for_float32_divides_nothing() -> None:
    matrix = np.array([[0], [1e-42]], dtype=np.float32)
    columns = Columns.of(matrix, [NumberFeature(name="f", range=(0, 1))])

    numbers, _ = columns.inputs(matrix)

    assert np.abs(numbers).max() < 1e-6
