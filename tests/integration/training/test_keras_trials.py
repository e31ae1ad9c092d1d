"""Keras in the search: beside scikit-learn, in processes at the same time."""

import time
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from kontinual.spec import Loop
from kontinual.training import TrainingSet
from kontinual.tuning.runner import TrialRunner
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.split import Split

_FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
_SEARCH = {
    "hidden_layers": {"type": "int", "min": 1, "max": 3},
    "hidden_units": {"type": "int", "min": 8, "max": 128, "scale": "log"},
    "learning_rate": {"type": "double", "min": 0.0003, "max": 0.03, "scale": "log"},
    "batch_size": {"type": "discrete", "values": [128, 512]},
}


def _loop() -> Loop:
    tree = YAML(typ="safe").load(_FLIGHTS)
    kept = {"hour", "temp", "origin"}
    tree["data"]["features"] = [f for f in tree["data"]["features"] if f["name"] in kept]
    tree["data"]["slices"] = ["origin"]
    tree["validation"] = {}
    tree["training"]["trainers"] = [
        {"algorithm": "keras_mlp", "search": _SEARCH, "fixed": {"epochs": 3}},
        {"algorithm": "logistic_regression"},
    ]
    return Loop.model_validate(tree)


def _rows() -> TrainingSet:
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 24, 3000), rng.normal(55, 20, 3000), rng.integers(0, 3, 3000)]
    odds = 0.2 * (columns[0] - 12) - 0.03 * (columns[1] - 55)
    return TrainingSet(
        matrix=np.column_stack(columns).astype(np.float32),
        labels=(rng.random(3000) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        holdout_matrix=np.empty((0, 3), dtype=np.float32),
        holdout_labels=np.empty(0, dtype=np.int64),
        spans=[1],
    )


def test_keras_trials_run_beside_others_and_equal_ones_score_equally() -> None:
    loop = _loop()
    keras, linear = Space.of(loop).defaults()
    assert keras.parameters == {
        "hidden_layers": 2, "hidden_units": 64, "learning_rate": 0.001, "batch_size": 512,
    }  # fmt: skip
    quick = Suggestion(algorithm="keras_mlp", parameters=keras.parameters | {"learning_rate": 0.02})
    with TrialRunner(loop, Split.of(_rows()), seed=1) as runner:
        first, second, other = runner.run([quick, quick, linear], until=time.monotonic() + 240)
    assert (first.error, second.error, other.error) == (None, None, None)
    assert first.metrics == second.metrics
    assert first.metrics["roc_auc"] > 0.8
    assert first.metrics["roc_auc"] > other.metrics["roc_auc"] - 0.05
