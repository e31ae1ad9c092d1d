from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from kontinual.collector import Matured, OutcomeCounters, Prediction, Store
from kontinual.collector.outcomes import IDLE_SECONDS, VERSIONS_LIMIT
from kontinual.collector.store import Ingested, Labelled
from kontinual.model import quality
from kontinual.spec import SCORE_BINS, LabelRecord, Loop

PREFIX = "kontinual_outcome"


class Page:
    """The series of a registry, summed over labels that are not asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples = [s for metric in registry.collect() for s in metric.samples]

    def __call__(self, name: str, **labels: str) -> float:
        found = [
            s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items()
        ]
        assert found, f"no series {name} {labels}"
        return sum(found)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counters(loop: Loop, store: Store, registry: CollectorRegistry) -> OutcomeCounters:
    return OutcomeCounters(loop, store, registry)


def rows(scores: Any, labels: Any, **features: Any) -> list[Matured]:
    return [
        Matured("1", float(s), int(y), {"depot": "north", **features})
        for s, y in zip(scores, labels, strict=True)
    ]


def test_sums_give_the_metrics_that_scikit_learn_gives(
    counters: OutcomeCounters, registry: CollectorRegistry
) -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(500).astype(np.float32).astype(float)
    labels = (rng.random(500) < scores).astype(int)
    for part in np.array_split(np.arange(500), 7):
        counters.labelled(Labelled(matured=rows(scores[part], labels[part])))
    page, everything = Page(registry), {"version": "1", "slice": "all", "group": "all"}
    n = page(f"{PREFIX}s_total", **everything)
    assert n == 500
    assert page(f"{PREFIX}_positives_total", **everything) == labels.sum()
    assert page(f"{PREFIX}_score_sum_total", **everything) == pytest.approx(scores.sum())
    loss = page(f"{PREFIX}_log_loss_sum_total", **everything) / n
    assert loss == pytest.approx(log_loss(labels, scores), abs=1e-9)
    brier = page(f"{PREFIX}_brier_sum_total", **everything) / n
    assert brier == pytest.approx(brier_score_loss(labels, scores), abs=1e-9)


def test_bins_give_the_auc_of_the_binned_scores(
    counters: OutcomeCounters, registry: CollectorRegistry
) -> None:
    rng = np.random.default_rng(4)
    scores = rng.beta(2, 5, 800)
    labels = (rng.random(800) < scores).astype(int)
    counters.labelled(Labelled(matured=rows(scores, labels)))
    page = Page(registry)
    total = 0.0
    for b in map(str, range(SCORE_BINS)):
        positives = page(f"{PREFIX}_bin_total", label="1", bin=b)
        negatives = page(f"{PREFIX}_bin_total", label="0", bin=b)
        total += positives * (page(f"{PREFIX}_negatives_below_total", bin=b) + negatives / 2)
    auc = total / (labels.sum() * (1 - labels).sum())
    binned = np.floor(scores * SCORE_BINS)
    assert auc == pytest.approx(roc_auc_score(labels, binned), abs=1e-12)


def test_a_certain_and_wrong_score_costs_what_it_does_on_the_holdout(
    counters: OutcomeCounters, registry: CollectorRegistry
) -> None:
    counters.labelled(Labelled(matured=rows([0.0, 1.0], [1, 1])))
    loss = Page(registry)(f"{PREFIX}_log_loss_sum_total", slice="all")
    assert loss / 2 == pytest.approx(quality([1, 1], [0.0, 1.0]).log_loss)


@pytest.mark.parametrize(
    ("value", "group"), [("south", "south"), ("moon", "unseen"), (None, "null")]
)
def test_each_row_is_counted_in_its_group_and_in_all(
    counters: OutcomeCounters, registry: CollectorRegistry, value: str | None, group: str
) -> None:
    counters.labelled(Labelled(matured=rows([0.5], [1], depot=value)))
    page = Page(registry)
    assert page(f"{PREFIX}s_total", slice="depot", group=group) == 1
    assert page(f"{PREFIX}s_total", slice="depot") == 1
    assert page(f"{PREFIX}s_total", slice="all") == 1


def test_a_versions_series_stand_at_zero_before_its_first_label(
    counters: OutcomeCounters, registry: CollectorRegistry
) -> None:
    counters.ingested(Ingested(stored=1), versions={"7"})
    page = Page(registry)
    for group in ("north", "south", "unseen", "null"):
        assert page(f"{PREFIX}s_total", version="7", slice="depot", group=group) == 0
    assert page(f"{PREFIX}_bin_total", version="7", label="1", bin="19") == 0
    assert page(f"{PREFIX}_negatives_below_total", version="7", bin="0") == 0


def test_after_a_restart_the_versions_that_wait_for_labels_are_at_zero(
    loop: Loop, store: Store, registry: CollectorRegistry, prediction: Callable[..., Prediction]
) -> None:
    store.add([prediction(1, version="3"), prediction(2, version="4")])
    store.label([LabelRecord(id="p2", label=1)])
    OutcomeCounters(loop, store, registry)
    page = Page(registry)
    assert page(f"{PREFIX}s_total", version="3", slice="all") == 0
    with pytest.raises(AssertionError, match="no series"):
        page(f"{PREFIX}s_total", version="4", slice="all")


def test_arrivals_are_counted_by_what_became_of_them(
    counters: OutcomeCounters, registry: CollectorRegistry
) -> None:
    counters.ingested(Ingested(stored=5, duplicate=2), versions={"1"})
    counters.labelled(Labelled(joined=1, early=2, duplicate=3, conflict=4))
    counters.invalid_events(6)
    counters.invalid_labels(7)
    page = Page(registry)
    events = {
        r: page("kontinual_events_total", result=r) for r in ("stored", "duplicate", "invalid")
    }
    assert events == {"stored": 5, "duplicate": 2, "invalid": 6}
    results = ("joined", "early", "duplicate", "conflict", "invalid")
    labels = {r: page("kontinual_labels_total", result=r) for r in results}
    assert labels == {"joined": 1, "early": 2, "duplicate": 3, "conflict": 4, "invalid": 7}


def test_gauges_follow_the_store(
    counters: OutcomeCounters,
    store: Store,
    registry: CollectorRegistry,
    prediction: Callable[..., Prediction],
) -> None:
    store.add([prediction(n) for n in range(5)])
    store.label([LabelRecord(id=f"p{n}", label=1) for n in range(3)])
    store.take(1)
    page = Page(registry)
    assert page("kontinual_matured_rows", model="parcels") == 2
    assert page("kontinual_unlabelled_rows", model="parcels") == 2


def test_a_version_of_which_nothing_comes_any_more_gives_way_to_a_new_one(
    loop: Loop, store: Store, registry: CollectorRegistry
) -> None:
    now = 0.0
    counters = OutcomeCounters(loop, store, registry, monotonic=lambda: now)
    counters.expect(["old"])
    now = IDLE_SECONDS
    counters.expect([str(n) for n in range(VERSIONS_LIMIT - 1)])
    assert not counters.has_room_for(["new"])
    counters.expect(["new"])
    now += 1
    assert counters.has_room_for(["new"])
    counters.expect(["new"])
    shown = {s.labels["version"] for m in registry.collect() for s in m.samples
             if "version" in s.labels}  # fmt: skip
    assert shown == {"new", *(str(n) for n in range(VERSIONS_LIMIT - 1))}


def test_rows_of_a_version_without_room_are_not_counted_and_the_others_are(
    loop: Loop, store: Store, registry: CollectorRegistry
) -> None:
    counters = OutcomeCounters(loop, store, registry)
    counters.expect(["1", *(f"v{n}" for n in range(VERSIONS_LIMIT - 1))])
    other = [replace(row, version="late") for row in rows([0.5], [1])]
    counters.labelled(Labelled(matured=[*rows([0.5], [1]), *other]))
    page = Page(registry)
    assert page(f"{PREFIX}s_total", slice="all", group="all") == 1
