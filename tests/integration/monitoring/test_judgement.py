"""What the rules make of random rows: silence where nothing changed, an alert where it did.

Each draw of rows is a version of its own, and each version a champion, so one test of promtool
judges all draws. Its counters grow evenly, by the drawn rows in each window.
"""

import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kontinual.model import quality, score_bins
from kontinual.monitoring import render_rules
from kontinual.spec import SCORE_BINS, AlertKind, Loop, parse_loop

Run = Callable[..., subprocess.CompletedProcess[str]]
Floats = npt.NDArray[np.float64]

DRAWS, STEPS = 8, 6  # samples in a window

LOOP = """
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: fraud
data:
  id: id
  time: at
  label: {name: fraud, delay: 2d}
  history: {table: h.parquet}
  features:
    - {name: amount, type: number, range: [0, 1000]}
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0.0}]
monitoring:
  window: 1h
  alerts:
    - {kind: quality_decay, threshold: 0.05}
"""


@pytest.fixture(scope="module")
def fraud() -> Loop:
    return parse_loop(LOOP)


@dataclass
class Counted:
    """The series of some champions."""

    model: str
    series: list[dict[str, str]] = field(default_factory=list)

    def gauge(self, name: str, value: float, version: int, **labels: object) -> None:
        self._add(name, f"{float(value)!r}+0x{2 * STEPS}", version, labels)

    def counter(self, name: str, rows: float, version: int, **labels: object) -> None:
        """Grows by so many rows in a window."""
        self._add(name, f"0+{float(rows) / STEPS!r}x{2 * STEPS}", version, labels)

    def _add(self, name: str, values: str, version: int, labels: dict[str, object]) -> None:
        pairs = {"model": self.model, "version": version, **labels}
        text = ", ".join(f'{k}="{v}"' for k, v in pairs.items())
        self.series.append({"series": f"{name}{{{text}}}", "values": values})

    def firing(self, loop: Loop, kind: AlertKind, number: float, run: Run, folder: Path) -> None:
        """Assert how many champions fire."""
        query = f'count(ALERTS{{alertname="{kind.alertname}", alertstate="firing"}}) or vector(0)'
        check = {
            "expr": query,
            "eval_time": "2h",
            "exp_samples": [{"labels": "{}", "value": number}],
        }
        test = {
            "interval": f"{60 // STEPS}m",
            "input_series": self.series,
            "promql_expr_test": [check],
        }
        tree = {"rule_files": ["rules.yml"], "evaluation_interval": "10m", "tests": [test]}
        (folder / "rules.yml").write_text(render_rules(loop), encoding="utf-8")
        (folder / "test.yml").write_text(json.dumps(tree), encoding="utf-8")
        found = run("promtool", "test", "rules", "test.yml", cwd=folder)
        assert found.returncode == 0, (found.stdout + found.stderr)[-3000:]


def champions(loop: Loop, draw: Callable[[Counted, int], Any]) -> Counted:
    counted = Counted(loop.name)
    for version in range(DRAWS):
        counted.gauge("kontinual_champion_info", 1, version)
        draw(counted, version)
    return counted


def rare(rng: np.random.Generator, rows: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Labels of which 2 % are positive, and calibrated scores."""
    scores = 1 / (1 + np.exp(4.45 - rng.normal(0, 1.2, rows)))
    return (rng.random(rows) < scores).astype(np.int64), scores


def count_outcomes(counted: Counted, version: int, labels: Iterable[int], scores: Floats) -> None:
    truth, bins = np.asarray(labels), score_bins(scores)
    negatives, positives = (
        np.bincount(bins[truth == label], minlength=SCORE_BINS) for label in (0, 1)
    )
    counted.counter("kontinual_outcomes_total", len(truth), version, slice="all", group="all")
    for b in range(SCORE_BINS):
        for label, rows in (("0", negatives), ("1", positives)):
            counted.counter("kontinual_outcome_bin_total", rows[b], version, label=label, bin=b)
        below = negatives[:b].sum()
        counted.counter("kontinual_outcome_negatives_below_total", below, version, bin=b)


@pytest.mark.parametrize(("lost", "firing"), [(False, 0), (True, DRAWS)], ids=["as ever", "lost"])
def test_the_ranking_of_rare_positives_is_judged_by_the_same_bins_as_on_the_holdout(
    fraud: Loop, run: Run, tmp_path: Path, lost: bool, firing: int
) -> None:
    rng = np.random.default_rng(1)

    def draw(counted: Counted, version: int) -> None:
        born = quality(*rare(rng, 20_000))
        for metric in ("roc_auc", "binned_roc_auc"):
            value = getattr(born, metric)
            counted.gauge("kontinual_reference_quality", value, version, metric=metric)
        labels, scores = rare(rng, 20_000)
        count_outcomes(counted, version, rng.permutation(labels) if lost else labels, scores)

    counted = champions(fraud, draw)
    counted.firing(fraud, AlertKind.QUALITY_DECAY, firing, run, tmp_path)
