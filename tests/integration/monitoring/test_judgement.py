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

from kontinual.model import FeatureReference, quality, score_bins
from kontinual.monitoring import render_rules
from kontinual.spec import SCORE_BINS, AlertKind, CategoryFeature, Loop, parse_loop

Run = Callable[..., subprocess.CompletedProcess[str]]
Floats = npt.NDArray[np.float64]

DRAWS, STEPS = 4, 4  # samples in a window; promtool loads no more than 10,000 for a query
LEAST_ROWS = 500
COUNTRY = CategoryFeature(name="country", vocabulary=[f"C{i}" for i in range(249)])

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
    - {name: country, type: category, vocabulary: [%s]}
training: {trainers: [{algorithm: logistic_regression}]}
gates: [{metric: log_loss, "on": new, max_regression: 0.0}]
monitoring:
  window: 1h
  alerts:
    - {kind: quality_decay, threshold: 0.05}
    - {kind: feature_drift, threshold: 0.25}
"""


@pytest.fixture(scope="module")
def fraud() -> Loop:
    return parse_loop(LOOP % ", ".join(COUNTRY.vocabulary))


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

    def prove(self, loop: Loop, answers: dict[str, float], run: Run, folder: Path) -> None:
        """Assert what each query answers once a whole window is counted."""
        checks = [
            {"expr": expr, "eval_time": "2h", "exp_samples": [{"labels": "{}", "value": value}]}
            for expr, value in answers.items()
        ]
        test = {
            "interval": f"{60 // STEPS}m",
            "input_series": self.series,
            "promql_expr_test": checks,
        }
        tree = {"rule_files": ["rules.yml"], "evaluation_interval": "15m", "tests": [test]}
        (folder / "rules.yml").write_text(render_rules(loop), encoding="utf-8")
        (folder / "test.yml").write_text(json.dumps(tree), encoding="utf-8")
        found = run("promtool", "test", "rules", "test.yml", cwd=folder)
        assert found.returncode == 0, (found.stdout + found.stderr)[-3000:]


def firing(kind: AlertKind) -> str:
    """How many champions an alert fires for."""
    return f'count(ALERTS{{alertname="{kind.alertname}", alertstate="firing"}}) or vector(0)'


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


@pytest.mark.parametrize(("lost", "alerts"), [(False, 0), (True, DRAWS)], ids=["as ever", "lost"])
def test_the_ranking_of_rare_positives_is_judged_by_the_same_bins_as_on_the_holdout(
    fraud: Loop, run: Run, tmp_path: Path, lost: bool, alerts: int
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
    counted.prove(fraud, {firing(AlertKind.QUALITY_DECAY): alerts}, run, tmp_path)


def reference_of(rng: np.random.Generator, shares: Floats) -> FeatureReference:
    """What a package says of 200,000 training rows with these shares of the vocabulary."""
    codes = rng.choice(len(shares), 200_000, p=shares).astype(np.float32)
    return FeatureReference.of(COUNTRY, codes)


def zipf(used: int, *, turned: int = 0) -> Floats:
    """Shares of a vocabulary whose first entries alone occur; turned, others are frequent."""
    weights = np.zeros(len(COUNTRY.vocabulary))
    weights[:used] = np.roll(1 / np.arange(1, used + 1), turned)
    return weights / weights.sum()


def with_new(shares: Floats, share: float) -> Floats:
    """The same when an entry that training has never seen takes a share of the rows."""
    moved = shares * (1 - share)
    moved[-1] += share
    return moved


DRIFT = {
    "few entries occur": (zipf(5), zipf(5), 0),
    "a fifth of the entries occur": (zipf(50), zipf(50), 0),
    "half of the entries occur": (zipf(120), zipf(120), 0),
    "all entries occur": (zipf(249), zipf(249), 0),
    "few entries, others are frequent": (zipf(5), zipf(5, turned=2), DRAWS),
    "a fifth, others are frequent": (zipf(50), zipf(50, turned=3), DRAWS),
    "all, others are frequent": (zipf(249), zipf(249, turned=3), DRAWS),
    "few entries and a new one": (zipf(5), with_new(zipf(5), 0.1), DRAWS),
    "a fifth and a new entry": (zipf(50), with_new(zipf(50), 0.1), DRAWS),
    "most entries and a new one": (zipf(248), with_new(zipf(248), 0.1), DRAWS),
}


@pytest.mark.parametrize("name", DRIFT)
def test_a_large_vocabulary_drifts_by_what_occurs_and_not_by_its_size(
    fraud: Loop, run: Run, tmp_path: Path, name: str
) -> None:
    learnt, asked, alerts = DRIFT[name]
    rng = np.random.default_rng(2)

    def draw(counted: Counted, version: int) -> None:
        reference = reference_of(rng, learnt)
        rows = [*rng.multinomial(LEAST_ROWS, asked), 0, 0]
        for b, share, count in zip(reference.bins, reference.shares, rows, strict=True):
            where = {"feature": "country", "bin": b}
            counted.counter("kontinual_feature_total", count, version, **where)
            counted.gauge("kontinual_reference_feature_share", share, version, **where)

    answers = {firing(AlertKind.FEATURE_DRIFT): alerts}
    if not alerts:
        answers["avg(kontinual:feature_psi) < bool 0.06"] = 1
    champions(fraud, draw).prove(fraud, answers, run, tmp_path)
