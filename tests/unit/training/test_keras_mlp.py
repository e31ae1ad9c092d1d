"""The Keras trainer: its parameters, what it makes of nulls, and when it stops."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kontinual.errors import TrainingError
from kontinual.spec import Loop
from kontinual.training import TrainingSet, check_trainers, fit, positive_scores, trainer
from kontinual.training.export import onnx_scores

MakeLoop = Callable[..., Loop]
_DOCS = Path(__file__).parents[3] / "docs"


def _fit(loop: Loop, data: TrainingSet, **parameters: Any) -> Any:
    small = {"epochs": 2, "batch_size": 256, **parameters}
    return fit(loop, data.matrix, data.labels, algorithm="keras_mlp", parameters=small, seed=0)


def test_the_documented_parameters_are_those_of_the_trainer() -> None:
    rows = (_DOCS / "trainers.md").read_text(encoding="utf-8").split("## keras_mlp")[1].splitlines()
    cells = [row.split("|")[1:3] for row in rows if row.startswith("| `")]
    documented = {name.strip(" `"): float(default) for name, default in cells}
    assert documented == trainer("keras_mlp").defaults


def test_without_tensorflow_the_declaration_is_refused_with_the_command_that_helps(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else found(name)
    )
    loop = make_loop({"algorithm": "keras_mlp"})
    with pytest.raises(TrainingError, match=r"TensorFlow is not .* `make setup` installs it"):
        check_trainers(loop)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("hidden_layers", -1, "greater than or equal to 0"),
        ("hidden_units", 2.5, "valid integer"),
        ("dropout", 1.0, "less than 1"),
        ("learning_rate", 0, "greater than 0"),
        ("stopping_share", 0.7, "less than or equal to 0.5"),
    ],
)
def test_an_impossible_parameter_is_named_with_its_bound(
    loop: Loop, data: TrainingSet, name: str, value: float, rule: str
) -> None:
    with pytest.raises(TrainingError, match=f"keras_mlp: parameter `{name}`: .*{rule}.*{value}"):
        _fit(loop, data, **{name: value})


def test_whole_numbers_may_come_as_a_search_writes_them(loop: Loop, data: TrainingSet) -> None:
    _fit(loop, data, hidden_units=8.0, hidden_layers=1.0, epochs=1)


def test_without_hidden_layers_it_is_a_linear_model_and_served_as_one(
    loop: Loop, data: TrainingSet
) -> None:
    model = _fit(loop, data, hidden_layers=0)
    exported = trainer("keras_mlp").export(model, loop.data.features)
    served = onnx_scores(exported, data.holdout_matrix)
    np.testing.assert_allclose(served, positive_scores(model, data.holdout_matrix), atol=1e-6)


def test_a_category_that_training_never_showed_is_neutral(loop: Loop, data: TrainingSet) -> None:
    column = loop.data.feature_names.index("origin")
    vocabulary = len(loop.data.features[column].vocabulary)  # type: ignore[union-attr]
    seen = data.matrix.copy()
    seen[~(seen[:, column] < vocabulary), column] = 0
    model = fit(
        loop,
        seen,
        data.labels,
        algorithm="keras_mlp",
        parameters={"epochs": 2},
        seed=0,
    )
    rows = np.repeat(seen[:1], 2, axis=0)
    rows[:, column] = [vocabulary, np.nan]  # unseen, null
    first, second = positive_scores(model, rows)
    assert first == second


def test_it_stops_when_its_own_split_of_the_training_rows_gets_no_better(
    loop: Loop, data: TrainingSet
) -> None:
    # Labels of pure chance: nothing can be learnt that holds on rows not learnt from.
    noise = np.random.default_rng(0).integers(0, 2, len(data.labels))
    model = fit(
        loop,
        data.matrix,
        noise,
        algorithm="keras_mlp",
        parameters={"epochs": 60, "patience": 1, "learning_rate": 0.05, "dropout": 0.0},
        seed=0,
    )
    assert np.abs(positive_scores(model, data.matrix) - 0.5).mean() < 0.1


def test_a_single_label_of_the_watched_rows_is_no_trouble(loop: Loop, data: TrainingSet) -> None:
    few = [*np.flatnonzero(data.labels == 1)[:9].tolist(), int(np.argmin(data.labels))]
    model = fit(
        loop,
        data.matrix[few],
        data.labels[few],
        algorithm="keras_mlp",
        parameters={"epochs": 2},
        seed=0,
    )
    assert np.isfinite(positive_scores(model, data.matrix)).all()
