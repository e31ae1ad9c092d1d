"""Every trainer through the same promises, and names that lead to one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kontinual.errors import TrainingError
from kontinual.model import quality
from kontinual.spec import Loop
from kontinual.training import (
    BUILT_IN,
    BaseTrainer,
    TrainingSet,
    check_trainers,
    complete,
    fit,
    positive_scores,
    trainer,
)
from kontinual.training.export import onnx_scores

MakeLoop = Callable[..., Loop]
_SMALL = {
    "hist_gradient_boosting": {"max_iter": 20},
    "keras_mlp": {"epochs": 6, "batch_size": 64, "learning_rate": 0.01},
    "logistic_regression": {},
    "random_forest": {"n_estimators": 20},
}
_OWN = """
from kontinual.training import BaseTrainer


class MeanTrainer(BaseTrainer):
    defaults = {"weight": 1.0}

    def fit(self, matrix, labels, *, features, parameters, seed):
        raise RuntimeError("out of flour")


class Abstract(BaseTrainer):
    pass


def function():
    pass
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "bakery.py").write_text(_OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "bakery"


def test_the_small_parameters_cover_every_built_in_trainer() -> None:
    assert set(_SMALL) == set(BUILT_IN)


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_a_trainer_learns_what_is_to_be_learnt(
    algorithm: str, loop: Loop, data: TrainingSet
) -> None:
    model = fit(
        loop, data.matrix, data.labels, algorithm=algorithm, parameters=_SMALL[algorithm], seed=0
    )
    found = quality(data.holdout_labels, positive_scores(model, data.holdout_matrix))
    assert found.roc_auc > 0.72
    assert found.log_loss < 0.62


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_the_same_seed_gives_the_same_bytes_of_predictions(
    algorithm: str, loop: Loop, data: TrainingSet
) -> None:
    answers = []
    for _ in range(2):
        model = fit(
            loop,
            data.matrix,
            data.labels,
            algorithm=algorithm,
            parameters=_SMALL[algorithm],
            seed=5,
        )
        exported = trainer(algorithm).export(model, loop.data.features)
        answers.append(onnx_scores(exported, data.holdout_matrix).tobytes())
    assert answers[0] == answers[1]


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_the_export_answers_as_the_model_on_every_row_and_on_strange_ones(
    algorithm: str, loop: Loop, data: TrainingSet
) -> None:
    model = fit(
        loop, data.matrix, data.labels, algorithm=algorithm, parameters=_SMALL[algorithm], seed=0
    )
    exported = trainer(algorithm).export(model, loop.data.features)
    strange = np.array(
        [[np.nan] * 4, [0, 0, 0, 3], [23, 1e6, -1e6, 3], [-5, -1, 200, np.nan]], dtype=np.float32
    )
    rows = np.vstack([data.matrix, data.holdout_matrix, strange])
    served = onnx_scores(exported, rows)
    np.testing.assert_allclose(served, positive_scores(model, rows), atol=1e-5)


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_a_column_of_nulls_alone_costs_no_export(
    algorithm: str, loop: Loop, data: TrainingSet
) -> None:
    matrix = data.matrix.copy()
    matrix[:, 2] = np.nan
    model = fit(
        loop, matrix, data.labels, algorithm=algorithm, parameters=_SMALL[algorithm], seed=0
    )
    exported = trainer(algorithm).export(model, loop.data.features)
    served = onnx_scores(exported, data.holdout_matrix)
    np.testing.assert_allclose(served, positive_scores(model, data.holdout_matrix), atol=1e-5)


def test_a_row_on_a_trees_threshold_is_served_as_it_was_trained(loop: Loop) -> None:
    # The midpoint of two neighbouring float32 values is a double that rounds up to the greater:
    # taken as it is, the greater value would go left where training sent it right.
    low = np.float32(1000.0001)
    high = np.nextafter(low, np.float32(2000))
    middle = (float(low) + float(high)) / 2
    assert np.float32(middle) == high or np.float32(middle) == low
    values = []
    while len(values) < 40:
        values += [low, high]
        low = np.nextafter(high, np.float32(2000))
        high = np.nextafter(low, np.float32(2000))
    column = np.repeat(np.array(values, dtype=np.float32), 25)
    matrix = np.zeros((len(column), 4), dtype=np.float32)
    matrix[:, 1] = column
    labels = np.tile(np.repeat([0, 1], 25), len(values) // 2)
    model = fit(
        loop,
        matrix,
        labels,
        algorithm="hist_gradient_boosting",
        parameters={"max_iter": 30, "min_samples_leaf": 5},
        seed=0,
    )
    exported = trainer("hist_gradient_boosting").export(model, loop.data.features)
    np.testing.assert_allclose(
        onnx_scores(exported, matrix), positive_scores(model, matrix), atol=1e-5
    )


def test_parameters_are_searched_over_fixed_over_default(make_loop: MakeLoop) -> None:
    loop = make_loop({"algorithm": "logistic_regression", "fixed": {"C": 3.0, "tol": 0.1}})
    found = complete(loop, "logistic_regression", {"C": 0.5})
    assert found == {"C": 0.5, "tol": 0.1, "max_iter": 300}


def test_an_unknown_parameter_is_named_before_anything_is_trained(make_loop: MakeLoop) -> None:
    search = {"learning_rat": {"type": "double", "min": 0.1, "max": 1}}
    loop = make_loop({"algorithm": "hist_gradient_boosting", "search": search})
    expected = (
        "hist_gradient_boosting has no parameter `learning_rat`; did you mean `learning_rate`?"
    )
    with pytest.raises(TrainingError, match=expected):
        check_trainers(loop)


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("histgradientboosting", "did you mean `hist_gradient_boosting`"),
        ("quantum", "no trainer is called 'quantum'. There are hist_gradient_boosting, "),
        ("bakery:Nothing", "bakery:Nothing: it can not be imported: module 'bakery' has no"),
        ("no.such.module:Class", "it can not be imported: No module named 'no'"),
        ("bakery:function", "a class derived from kontinual.training.BaseTrainer is needed"),
        ("bakery:Abstract", "must be made without arguments and define `fit`"),
    ],
)
def test_a_trainer_that_is_not_to_be_had_is_explained(
    own_module: str, algorithm: str, message: str
) -> None:
    assert own_module == "bakery"
    with pytest.raises(TrainingError) as caught:
        trainer(algorithm)
    assert message in str(caught.value)


def test_a_class_of_ones_own_is_found_and_its_failure_told(
    own_module: str, make_loop: MakeLoop, data: TrainingSet
) -> None:
    name = f"{own_module}:MeanTrainer"
    assert isinstance(trainer(name), BaseTrainer)
    expected = r"failed with \{'weight': 2\}: RuntimeError: out of flour"
    with pytest.raises(TrainingError, match=expected):
        fit(
            make_loop({"algorithm": name}),
            data.matrix,
            data.labels,
            algorithm=name,
            parameters={"weight": 2},
            seed=0,
        )
