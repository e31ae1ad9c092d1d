"""A training: a package whose answers are proven, or nothing."""

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from kontinual.errors import TrainingError
from kontinual.model import ModelPackage, OnnxModel, quality
from kontinual.spec import Loop
from kontinual.training import BUILT_IN, TrainingSet, code_version, train
from kontinual.training.export import check_fidelity, onnx_scores, to_onnx

MakeLoop = Callable[..., Loop]
_BIRTH = datetime(2026, 3, 1, tzinfo=UTC)
_TWISTED = """
from kontinual.training.trainers.logistic_regression import LogisticRegressionTrainer


class TwistedTrainer(LogisticRegressionTrainer):
    def export(self, estimator, features):
        estimator[-1].coef_ = -estimator[-1].coef_
        exported = super().export(estimator, features)
        estimator[-1].coef_ = -estimator[-1].coef_
        return exported
"""


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_a_package_holds_all_that_serving_and_monitoring_need(
    algorithm: str, loop: Loop, data: TrainingSet, tmp_path: Path
) -> None:
    made = train(
        loop,
        data,
        algorithm=algorithm,
        parameters={"epochs": 6} if algorithm == "keras_mlp" else {},
        seed=3,
        out=tmp_path / "package",
        clock=lambda: _BIRTH,
    )
    package = ModelPackage.read(tmp_path / "package")
    assert package == made
    assert package.algorithm == algorithm
    assert package.spans == [1, 2]
    assert (package.seed, package.created_at) == (3, _BIRTH)
    assert package.signature.features == loop.data.features
    scores = OnnxModel.of(tmp_path / "package").predict(data.holdout_matrix)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert package.reference.quality == quality(data.holdout_labels, scores)
    assert package.reference.rows == len(data.matrix)


def test_the_package_names_all_parameters_with_their_defaults(
    make_loop: MakeLoop, data: TrainingSet, tmp_path: Path
) -> None:
    loop = make_loop({"algorithm": "logistic_regression", "fixed": {"tol": 0.01}})
    made = train(
        loop, data, algorithm="logistic_regression", parameters={"C": 0.2}, seed=0, out=tmp_path
    )
    assert made.parameters == {"C": 0.2, "tol": 0.01, "max_iter": 300}


def test_an_export_that_answers_otherwise_is_refused_and_nothing_is_written(
    make_loop: MakeLoop, data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "twisted.py").write_text(_TWISTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "twisted:TwistedTrainer"
    loop, out = make_loop({"algorithm": name}), tmp_path / "package"
    with pytest.raises(TrainingError, match=r"answers \d+ of 500 holdout rows otherwise than"):
        train(loop, data, algorithm=name, parameters={}, seed=0, out=out)
    assert not out.exists()


def test_a_second_training_replaces_what_a_first_one_left(
    loop: Loop, data: TrainingSet, tmp_path: Path
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "leftover.bin").write_bytes(b"x")
    train(
        loop,
        data,
        algorithm="logistic_regression",
        parameters={},
        seed=0,
        out=tmp_path / "package",
    )
    assert sorted(p.name for p in (tmp_path / "package").iterdir()) == [
        "model.onnx",
        "package.json",
    ]


def test_fidelity_counts_the_rows_that_differ_and_the_most() -> None:
    trained = np.array([0.1, 0.2, 0.3, 0.4])
    check_fidelity(trained, trained + 9e-5, what="model")
    with pytest.raises(TrainingError, match=r"answers 2 of 4 .* by 0.5 at most, and 0.0001 is"):
        check_fidelity(trained, trained + np.array([0, 0.5, 2e-4, 0]), what="model")


def test_a_score_that_is_no_number_is_no_fidelity() -> None:
    with pytest.raises(TrainingError, match="answers 1 of 2 holdout rows"):
        check_fidelity(np.array([0.1, 0.2]), np.array([0.1, np.nan]), what="model")


def test_what_has_no_onnx_form_is_told_in_a_line() -> None:
    with pytest.raises(TrainingError, match="object has no ONNX form") as caught:
        to_onnx(object(), 3)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_model_are_told_in_a_line() -> None:
    with pytest.raises(TrainingError, match="ONNX Runtime refuses the exported model") as caught:
        onnx_scores(b"no model", np.zeros((1, 3), dtype=np.float32))
    assert "\n" not in str(caught.value)


def test_the_code_version_names_the_release_and_the_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code_version.cache_clear()
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    release, _, named = code_version().partition("+g")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", release)
    assert revision.startswith(named.removesuffix(".dirty"))
    monkeypatch.setenv("KONTINUAL_REVISION", "abc123")
    code_version.cache_clear()
    assert code_version() == f"{release}+gabc123"
    code_version.cache_clear()
