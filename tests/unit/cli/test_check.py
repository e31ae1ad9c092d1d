"""`kontinual check` names what a declaration and its history do not agree on, by its line."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from kontinual.cli.check import app
from kontinual.spec import InvalidLoop

LOOP = """\
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: churn
data:
  id: customer
  time: as_of
  label: {name: gone, delay: 10d}
  history: {table: history.parquet}
  features:
    - {name: nps, type: integer, range: [0, 10]}
    - {name: usage, type: number, range: [0, 100]}
training:
  trainers:
    - algorithm: hist_gradient_boosting
    - algorithm: logistic_regression
gates: [{metric: log_loss, "on": new, max_regression: 0.1}]
monitoring: {alerts: [{kind: quality_decay, threshold: 0.05}]}
"""
COLUMNS = ["customer", "as_of", "nps", "usage", "gone"]


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    pd.DataFrame({name: [1] for name in COLUMNS}).to_parquet(tmp_path / "history.parquet")
    path = tmp_path / "loop.yaml"
    path.write_text(LOOP)
    return path


def test_a_declaration_that_fits_its_history_is_valid(loop: Path) -> None:
    told = CliRunner().invoke(app, [str(loop)])
    assert told.exit_code == 0, told.output
    assert "history     has the columns, of 5" in told.output


@pytest.mark.parametrize(
    ("right", "wrong", "line", "place", "hint"),
    [
        ("time: as_of", "time: as_off", 6, "data.time", "'as_off', did you mean `as_of`?"),
        ("id: customer", "id: kunde", 5, "data.id", "'kunde'. It has customer, as_of, nps,"),
        ("name: gone", "name: goned", 7, "data.label.name", "did you mean `gone`?"),
        ("name: nps", "name: nsp", 10, "data.features[0].name", "did you mean `nps`?"),
        (
            "algorithm: logistic_regression", "algorithm: xgboost", 15,
            "training.trainers[1].algorithm", "no trainer is called 'xgboost'",
        ),
        (
            "algorithm: logistic_regression", "algorithm: nomod.models:Net", 15,
            "training.trainers[1].algorithm", "it can not be imported",
        ),
    ],
)  # fmt: skip
def test_what_can_not_run_is_named_by_its_line(
    loop: Path, right: str, wrong: str, line: int, place: str, hint: str
) -> None:
    loop.write_text(LOOP.replace(right, wrong))
    told = CliRunner().invoke(app, [str(loop)])
    assert isinstance(told.exception, InvalidLoop)
    assert f"{loop}:{line}: {place}: " in str(told.exception)
    assert hint in str(told.exception)


def test_every_mistake_is_named_at_once(loop: Path) -> None:
    loop.write_text(LOOP.replace("as_of", "as_off").replace("name: nps", "name: nsp"))
    told = CliRunner().invoke(app, [str(loop)])
    assert str(told.exception).count("the history has no column") == 2


def test_a_history_that_is_not_here_is_told_and_no_mistake(loop: Path) -> None:
    (loop.parent / "history.parquet").unlink()
    told = CliRunner().invoke(app, [str(loop)])
    assert told.exit_code == 0
    assert f"history     not looked at: {loop.parent}/history.parquet: there is no such file" in (
        told.output
    )
