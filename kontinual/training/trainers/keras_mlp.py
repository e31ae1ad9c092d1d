"""A multilayer perceptron by Keras on TensorFlow."""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kontinual.errors import TrainingError
from kontinual.model import Matrix
from kontinual.spec import Feature
from kontinual.training.mlp import Columns, to_onnx
from kontinual.training.trainers.base import BaseTrainer, Estimator, Parameters

__all__ = ["KerasMlpTrainer"]

_PREDICTED_AT_ONCE = 8192


class _Chosen(BaseModel):
    """The parameters, their bounds and defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_layers: int = Field(default=2, ge=0, le=16)
    hidden_units: int = Field(default=64, ge=1, le=8192, description="of each hidden layer")
    embedding_size: int = Field(default=8, ge=1, le=512, description="of a category, at most")
    dropout: float = Field(default=0.1, ge=0, lt=1)
    learning_rate: float = Field(default=0.001, gt=0, le=1)
    weight_decay: float = Field(default=0.0001, ge=0, le=1)
    batch_size: int = Field(default=256, ge=1)
    epochs: int = Field(default=40, ge=1, description="at most; early stopping ends sooner")
    patience: int = Field(default=4, ge=1, description="epochs without a better loss")
    stopping_share: float = Field(default=0.1, gt=0, le=0.5, description="of the training rows")


class KerasMlpTrainer(BaseTrainer):
    """Dense layers on standardised numbers and embedded categories, by AdamW.

    A seeded share of the training rows is not learnt from but tells when to stop;
    the weights of the epoch that was best on it are kept. TensorFlow works on one
    thread and deterministically: parallel trials do not wait for each other, and
    the same seed gives the same model on every number of cores.

    Raises:
        TrainingError: TensorFlow is not in this environment.
    """

    known: ClassVar[frozenset[str] | None] = frozenset(_Chosen.model_fields)
    defaults: ClassVar[Parameters] = _Chosen().model_dump()

    def __init__(self) -> None:
        # Found missing before the first expensive step, yet not imported: that takes seconds.
        if importlib.util.find_spec("tensorflow") is None:
            raise TrainingError(
                "trainer keras_mlp: TensorFlow is not in this environment; "
                "`make setup` installs it, or Kontinual's extra `keras` (see setup.py)"
            )

    def fit(
        self,
        matrix: Matrix,
        labels: npt.NDArray[np.int64],
        *,
        features: Sequence[Feature],
        parameters: Parameters,
        seed: int,
    ) -> Estimator:
        try:
            chosen = _Chosen.model_validate(dict(parameters))
        except ValidationError as exc:
            raise TrainingError(f"keras_mlp: {_told(exc)}") from exc
        keras = _keras(seed)
        columns = Columns.of(matrix, features)
        network = _network(keras, columns, chosen)
        learnt, watched = _split(len(labels), chosen.stopping_share, seed)
        numbers, codes = columns.inputs(matrix)
        network.fit(
            [numbers[learnt], codes[learnt]],
            labels[learnt],
            validation_data=([numbers[watched], codes[watched]], labels[watched]),
            batch_size=chosen.batch_size,
            validation_batch_size=_PREDICTED_AT_ONCE,
            epochs=chosen.epochs,
            callbacks=[
                keras.callbacks.EarlyStopping(patience=chosen.patience, restore_best_weights=True)
            ],
            verbose=0,
        )
        return _Mlp(columns, network)

    def export(self, estimator: Estimator, features: Sequence[Feature]) -> bytes:
        """The network's layers node by node.

        Keras' own export goes through tf2onnx and TensorFlow's graph; these few
        operators are exact without them, and of the operator set that predictors read.
        """
        if not isinstance(estimator, _Mlp):
            raise TrainingError(f"keras_mlp exports its own models, not {type(estimator).__name__}")
        return to_onnx(estimator.columns, len(features), *estimator.weights())


class _Mlp:
    """A fitted network with the way into it."""

    def __init__(self, columns: Columns, network: Any) -> None:
        self.columns = columns
        self._network = network

    def predict_proba(self, matrix: Matrix, /) -> npt.NDArray[np.floating]:
        """Probabilities of labels 0 and 1, [n, 2]."""
        inputs = list(self.columns.inputs(matrix))
        logits = self._network.predict(inputs, batch_size=_PREDICTED_AT_ONCE, verbose=0)[:, 0]
        positive = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return np.column_stack([1 - positive, positive])

    def weights(self) -> tuple[list[npt.NDArray[np.float32]], list[Any]]:
        """The embeddings' tables and the dense layers, each in order."""
        found = {kind: [] for kind in ("Embedding", "Dense")}  # type: dict[str, list[Any]]
        for layer in self._network.layers:
            if type(layer).__name__ in found:
                found[type(layer).__name__].append(layer.get_weights())
        return [table for (table,) in found["Embedding"]], [tuple(w) for w in found["Dense"]]


def _keras(seed: int) -> Any:
    """Keras, made deterministic."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Another order of additions on every kind of processor is what these optimisations are.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with _muted():
        import keras
        import tensorflow as tf

    with suppress(RuntimeError):  # a process that computed with TensorFlow before keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return keras


@contextmanager
def _muted() -> Iterator[None]:
    """Drop what TensorFlow writes to the process' stderr before it reads its own log level."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _network(keras: Any, columns: Columns, chosen: _Chosen) -> Any:
    """The compiled network: numbers with flags and codes in, one logit out."""
    layers = keras.layers
    numbers = keras.Input((len(columns.numbers) + len(columns.flagged),))
    codes = keras.Input((len(columns.categories),), dtype="int32")
    # From zero: a value that training never shows stays neutral.
    embedded = [
        layers.Embedding(size, min(size, chosen.embedding_size), embeddings_initializer="zeros")(
            codes[:, i]
        )
        for i, size in enumerate(columns.sizes)
    ]
    value = layers.Concatenate()([numbers, *embedded]) if embedded else numbers
    for _ in range(chosen.hidden_layers):
        value = layers.Dense(chosen.hidden_units, activation="relu")(value)
        value = layers.Dropout(chosen.dropout)(value)
    network = keras.Model([numbers, codes], layers.Dense(1)(value))
    network.compile(
        optimizer=keras.optimizers.AdamW(chosen.learning_rate, weight_decay=chosen.weight_decay),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,  # compiling costs more than so small a network gains
    )
    return network


def _split(
    rows: int, share: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows to learn from, and at least one that tells when to stop."""
    order = np.random.default_rng(seed).permutation(rows)
    watched = max(1, round(share * rows))
    return np.sort(order[watched:]), np.sort(order[:watched])


def _told(exc: ValidationError) -> str:
    return "; ".join(
        f"parameter `{'.'.join(map(str, e['loc']))}`: {e['msg']}, but got {e['input']!r}"
        for e in exc.errors()
    )
