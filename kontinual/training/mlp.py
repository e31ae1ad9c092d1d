"""A network's view of encoded rows, and the whole of it as ONNX.

Notation: n rows, F features, K of them numbers and C categories.

A number is standardised and cut at ten standard deviations; null is the mean, and a
column of its own says so where training had nulls. A category is a row of an
embedding; "unseen" and null are rows too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kontinual.model import Matrix
from kontinual.spec import CategoryFeature, Feature
from kontinual.training.export import OPSET

__all__ = ["Columns", "Layer", "to_onnx"]

_CUT = 10.0
"""Standard deviations; what lies further out says no more, and would drown the rest."""

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Weights [inputs, units] and biases [units] of a dense layer."""


@dataclass(frozen=True)
class Columns:
    """How the columns of a matrix enter a network.

    Attributes:
        numbers: indices of the numbers, [K].
        means: of the numbers that are there, float32 [K].
        scales: their standard deviations, 1 for a constant; float32 [K].
        flagged: indices of the numbers that were null in training, each with a flag.
        categories: indices of the categories, [C].
        sizes: values of each category with "unseen" and null, [C].
    """

    numbers: list[int]
    means: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    flagged: list[int]
    categories: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, matrix: Matrix, features: Sequence[Feature]) -> "Columns":
        """The columns of a training matrix, float32 [n, F]."""
        vocabularies = {
            i: len(f.vocabulary) for i, f in enumerate(features) if isinstance(f, CategoryFeature)
        }
        numbers = [i for i in range(len(features)) if i not in vocabularies]
        moments = [_moments(matrix[:, i]) for i in numbers]
        return cls(
            numbers=numbers,
            means=np.array([mean for mean, _ in moments], dtype=np.float32),
            scales=np.array([scale for _, scale in moments], dtype=np.float32),
            flagged=[i for i in numbers if np.isnan(matrix[:, i]).any()],
            categories=list(vocabularies),
            sizes=[count + 2 for count in vocabularies.values()],
        )

    def inputs(self, matrix: Matrix) -> tuple[Matrix, npt.NDArray[np.int32]]:
        """Numbers with flags, float32 [n, K + flags], and rows of the embeddings, int32 [n, C]."""
        values = matrix[:, self.numbers]
        nulls = np.isnan(values)
        standard = (np.where(nulls, self.means, values) - self.means) / self.scales
        flags = np.isnan(matrix[:, self.flagged]).astype(np.float32)
        last = np.array(self.sizes, dtype=np.int32) - 1
        codes = matrix[:, self.categories]
        rows = np.where(np.isnan(codes), last, np.clip(np.nan_to_num(codes), 0, last))
        return np.hstack([np.clip(standard, -_CUT, _CUT), flags]), rows.astype(np.int32)


def to_onnx(
    columns: Columns,
    features: int,
    embeddings: Sequence[npt.NDArray[np.float32]],
    layers: Sequence[Layer],
) -> bytes:
    """The network on raw encoded rows: float32 [n, F] in, probability of label 1 out, [n].

    Args:
        columns: how the rows enter it.
        features: F.
        embeddings: the tables of the categories, each [size, width].
        layers: dense layers from first to last; ReLU between them, the logistic function last.
    """
    from onnx import TensorProto, helper  # only the environment that trains has it

    graph = _Graph()
    parts = [*_numbers(graph, columns), *_categories(graph, columns, embeddings)]
    value = graph.add("Concat", *parts, axis=1)
    for weights, biases in layers[:-1]:
        value = graph.add("Relu", graph.dense(value, weights, biases))
    value = graph.add("Sigmoid", graph.dense(value, *layers[-1]))
    graph.add("Squeeze", value, graph.constant(np.array([1], np.int64)), output="probability")
    floats = TensorProto.FLOAT
    whole = helper.make_graph(
        graph.nodes,
        "mlp",
        [helper.make_tensor_value_info("features", floats, [None, features])],
        [helper.make_tensor_value_info("probability", floats, [None])],
        graph.constants,
    )
    versions = [helper.make_opsetid("", OPSET[""])]
    oldest = helper.find_min_ir_version_for(versions)
    model = helper.make_model(whole, opset_imports=versions, ir_version=oldest)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants of an ONNX graph, named as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; the name of its output."""
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant; its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def columns(self, indices: Sequence[int]) -> str:
        """Add the choice of columns of the input."""
        return self.add("Gather", "features", self.constant(np.array(indices, np.int64)), axis=1)

    def dense(self, value: str, *layer: npt.NDArray[np.float32]) -> str:
        """Add an affine layer."""
        return self.add("Gemm", value, *map(self.constant, layer))


def _numbers(graph: _Graph, columns: Columns) -> Iterator[str]:
    if not columns.numbers:
        return
    values, means = graph.columns(columns.numbers), graph.constant(columns.means)
    filled = graph.add("Where", graph.add("IsNaN", values), means, values)
    centred = graph.add("Sub", filled, means)
    standard = graph.add("Div", centred, graph.constant(columns.scales))
    low, high = (graph.constant(np.array(cut, np.float32)) for cut in (-_CUT, _CUT))
    yield graph.add("Clip", standard, low, high)
    if columns.flagged:
        nulls = graph.add("IsNaN", graph.columns(columns.flagged))
        yield graph.add("Cast", nulls, to=1)  # to float32


def _categories(
    graph: _Graph, columns: Columns, embeddings: Sequence[npt.NDArray[np.float32]]
) -> Iterator[str]:
    zero = graph.constant(np.array(0, np.float32))
    for index, table in zip(columns.categories, embeddings, strict=True):
        code = graph.add("Gather", "features", graph.constant(np.array(index, np.int64)), axis=1)
        last = graph.constant(np.array(len(table) - 1, np.float32))
        known = graph.add("Where", graph.add("IsNaN", code), last, code)
        row = graph.add("Cast", graph.add("Clip", known, zero, last), to=7)  # to int64
        yield graph.add("Gather", graph.constant(table), row, axis=0)


def _moments(column: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of what is there; (0, 1) where nothing is."""
    present = column[np.isfinite(column)].astype(np.float64)
    if not len(present):
        return 0.0, 1.0
    mean, scale = float(present.mean()), float(present.std())
    # A spread below what float32 tells apart is rounding, or becomes zero on the way there.
    least = max(1e-6 * abs(mean), 1e-30)
    return mean, scale if scale > least else 1.0
