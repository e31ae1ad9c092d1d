"""The recorded quantities of a real Prometheus against independent oracles.

A page of counters, as two replicas of a predictor and one collector export them, grows
while Prometheus scrapes it every second; then the window is left to hold all of it.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from sklearn.metrics import roc_auc_score

from kontinual.collector import Matured, OutcomeCounters, Store
from kontinual.collector.store import Labelled
from kontinual.model import score_bins
from kontinual.monitoring import render_prometheus, render_rules
from kontinual.spec import SCORE_BINS, Loop

SPEEDUP = 21600.0  # the example's 30 days pass in two minutes
ROWS, BINS = 6_000, 12


class Answers:
    """Prometheus at one moment, however slowly the tests ask."""

    def __init__(self, client: httpx.Client) -> None:
        self.client, self.moment = client, time.time()
        self.alerts = client.get("/api/v1/alerts").json()["data"]["alerts"]

    def __call__(self, query: str, *labels: str) -> dict[tuple[str, ...], float]:
        return ask(self.client, query, *labels, moment=self.moment)


class World:
    """What was counted, kept so that oracles can compute from it."""

    def __init__(self, loop: Loop, store: Store) -> None:
        rng = np.random.default_rng(11)
        self.scores = rng.beta(2, 4, ROWS).astype(np.float32).astype(float)
        # Too sure of itself, and more so in one origin: both decay and bias.
        self.origins = rng.choice(["EWR", "JFK"], ROWS)
        truth = np.where(self.origins == "JFK", self.scores * 0.2, self.scores)
        self.labels = (rng.random(ROWS) < truth).astype(int)
        self.reference = rng.dirichlet(np.full(BINS, 5.0))
        self.bins = rng.choice(BINS, ROWS, p=rng.dirichlet(np.full(BINS, 5.0)))
        self.registry = CollectorRegistry()
        self.outcomes = OutcomeCounters(loop, store, self.registry)
        self.outcomes.expect(["1", "2"])
        self.replicas = [Predictor(self.reference) for _ in range(2)]
        info = Gauge("kontinual_champion_info", "", ["model", "version"], registry=self.registry)
        info.labels("flights", "1").set(1)

    def grow(self, part: npt.NDArray[np.int64]) -> None:
        """Count some of the rows, half of them at each replica; of version 2 next to none."""
        for replica, own in zip(self.replicas, np.array_split(part, 2), strict=True):
            replica.count(self.bins[own], self.scores[own])
        rows = [
            Matured("1", self.scores[i], int(self.labels[i]), {"origin": self.origins[i]})
            for i in part
        ]
        few = [Matured("2", 0.5, 1, {"origin": "EWR"}), Matured("2", 0.5, 0, {"origin": "EWR"})]
        self.outcomes.labelled(Labelled(matured=rows + few))


class Predictor:
    """The counters of one replica that the quantities here need."""

    def __init__(self, reference: npt.NDArray[np.float64]) -> None:
        self.registry = CollectorRegistry()
        names = ("model", "version")
        kept = {"registry": self.registry}
        self._who = {"model": "flights", "version": "1"}
        self._rows = Counter("kontinual_predictions", "", names, **kept).labels(**self._who)
        self._low = Counter("kontinual_low_confidence", "", names, **kept).labels(**self._who)
        self._loss = Counter("kontinual_expected_log_loss", "", names, **kept).labels(**self._who)
        self._feature = Counter("kontinual_feature", "", (*names, "feature", "bin"), **kept)
        share = Gauge("kontinual_reference_feature_share", "", (*names, "feature", "bin"), **kept)
        for b, value in enumerate(reference):
            share.labels(**self._who, feature="distance", bin=str(b)).set(value)
            self._feature.labels(**self._who, feature="distance", bin=str(b))
        low = Gauge("kontinual_reference_low_confidence_share", "", names, **kept)
        low.labels(**self._who).set(0.01)
        quality = Gauge("kontinual_reference_quality", "", (*names, "metric"), **kept)
        quality.labels(**self._who, metric="binned_roc_auc").set(0.9)
        quality.labels(**self._who, metric="expected_log_loss").set(0.3)

    def count(self, bins: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> None:
        self._rows.inc(len(bins))
        self._low.inc(int((np.maximum(scores, 1 - scores) < 0.6).sum()))
        self._loss.inc(float(entropy(scores).sum()))
        for b, rows in enumerate(np.bincount(bins, minlength=BINS)):
            self._feature.labels(**self._who, feature="distance", bin=str(b)).inc(int(rows))


def entropy(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def world(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = Store(tmp_path_factory.mktemp("store") / "store.sqlite", loop="flights")
    yield World(loop, store)
    store.close()


@pytest.fixture(scope="module")
def prometheus(
    loop: Loop,
    world: World,
    tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Answers]:
    """A real Prometheus with the rendered configuration, once all rows are counted."""
    folder = tmp_path_factory.mktemp("prometheus")
    servers = [
        start_http_server(0, addr="127.0.0.1", registry=registry)
        for registry in (world.registry, *(r.registry for r in world.replicas))
    ]
    ports = [server.server_port for server, _ in servers]
    targets = [{"targets": [f"127.0.0.1:{p}" for p in ports[1:]], "labels": {"job": "predictor"}}]
    (folder / "predictors.json").write_text(json.dumps(targets))
    (folder / "rules.yml").write_text(render_rules(loop, speedup=SPEEDUP))
    nobody = f"127.0.0.1:{free_port()}"
    config = render_prometheus(
        loop,
        collector=f"127.0.0.1:{ports[0]}",
        trigger=nobody,
        envoy=nobody,
        alertmanager=nobody,
        speedup=SPEEDUP,
    )
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("prometheus"),
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}")
    try:
        # Of a series that Prometheus has not seen yet, it would miss the first rows.
        seen = 'count(up{job=~"predictor|collector"} == 1)'
        wait(lambda: ask(client, seen) == {(): 3}, client)
        for part in np.array_split(np.arange(ROWS), 8):
            world.grow(part)
            time.sleep(0.7)
        wait(lambda: ask(client, "sum(kontinual_predictions_total)") == {(): ROWS}, client)
        time.sleep(3)  # two evaluations of the rules
        yield Answers(client)
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=30)
        for server, thread in servers:
            server.shutdown()
            server.server_close()
            thread.join()


def wait(ready: Callable[[], bool], client: httpx.Client, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (httpx.HTTPError, KeyError):  # 503 while it opens its store
            pass
        time.sleep(0.2)
    raise AssertionError(f"Prometheus at {client.base_url} was not ready in {seconds} s")


def ask(
    client: httpx.Client, query: str, *labels: str, moment: float | None = None
) -> dict[tuple[str, ...], float]:
    at = {} if moment is None else {"time": moment}
    reply = client.get("/api/v1/query", params={"query": query, **at})
    answer: dict[str, Any] = reply.raise_for_status().json()
    return {
        tuple(found["metric"][name] for name in labels): float(found["value"][1])
        for found in answer["data"]["result"]
    }


def psi(world: World) -> float:
    counts = np.bincount(world.bins, minlength=BINS)
    q = world.reference
    p = (counts + q * BINS / 2) / (ROWS + BINS / 2)  # every bin expects many rows
    return float(((p - q) * np.log(p / q)).sum() - (BINS - 1) / ROWS)


def test_feature_drift_is_the_corrected_index_over_all_replicas(
    prometheus: Answers, world: World
) -> None:
    labels = ("version", "feature")
    found = prometheus("kontinual:feature_drift:value", *labels)
    assert found == {("1", "distance"): pytest.approx(psi(world), rel=0.03)}


def test_windowed_auc_is_scikit_learns_to_the_width_of_a_bin(
    prometheus: Answers, world: World
) -> None:
    found = prometheus("kontinual:quality:roc_auc", "version")[("1",)]
    binned = roc_auc_score(world.labels, score_bins(world.scores))
    exact = roc_auc_score(world.labels, world.scores)
    assert found == pytest.approx(binned, abs=0.002)
    assert found == pytest.approx(exact, abs=0.01)
    assert SCORE_BINS == 20


def test_quality_decay_is_the_fall_below_the_reference_and_the_champions_alone(
    prometheus: Answers, world: World
) -> None:
    binned = roc_auc_score(world.labels, score_bins(world.scores))
    found = prometheus("kontinual:quality_decay:value", "version")
    assert found == {("1",): pytest.approx(0.9 - binned, abs=0.002)}
    assert ("2",) in prometheus("kontinual:quality:roc_auc", "version")


def test_windowed_log_loss_is_the_mean_of_the_rows(prometheus: Answers, world: World) -> None:
    chance = np.where(world.labels == 1, world.scores, 1 - world.scores)
    found = prometheus("kontinual:quality:log_loss", "version")[("1",)]
    assert found == pytest.approx(-np.log(chance).mean(), rel=0.005)


def test_group_bias_is_the_spread_of_the_groups_gaps(prometheus: Answers, world: World) -> None:
    gaps = [
        (world.scores[own] - world.labels[own]).mean()
        for own in (world.origins == "EWR", world.origins == "JFK")
    ]
    found = prometheus("kontinual:group_bias:value", "slice")
    assert found[("origin",)] == pytest.approx(max(gaps) - min(gaps), abs=0.005)


def test_low_confidence_and_expected_loss_rise_over_the_reference(
    prometheus: Answers, world: World
) -> None:
    share = (np.maximum(world.scores, 1 - world.scores) < 0.6).mean()
    low = prometheus("kontinual:low_confidence:value", "version")
    assert low == {("1",): pytest.approx(share - 0.01, abs=0.003)}
    loss = prometheus("kontinual:expected_log_loss_rise:value", "version")
    assert loss == {("1",): pytest.approx(entropy(world.scores).mean() - 0.3, abs=0.003)}


def test_services_that_do_not_answer_are_counted_by_name(prometheus: Answers) -> None:
    found = prometheus("kontinual:service_down:value", "service")
    assert found == {("predictor",): 0, ("collector",): 0, ("trigger",): 1, ("envoy",): 1}


def test_alerts_carry_the_labels_and_texts_that_readers_need(
    prometheus: Answers, world: World
) -> None:
    (decay,) = (a for a in prometheus.alerts if a["labels"]["alertname"] == "KontinualQualityDecay")
    assert decay["labels"] == {
        "alertname": "KontinualQualityDecay",
        "model": "flights",
        "version": "1",
        "kind": "quality_decay",
        "action": "retrain",
        "severity": "critical",
    }
    notes = decay["annotations"]
    assert notes["summary"] == "flights ranks worse than when it was made"
    value = f"{float(decay['value']):.3f}"
    assert (
        f"is {value} below that of its holdout; more than 0.03 asks for a" in notes["description"]
    )
    assert notes["runbook_url"].endswith("#quality_decay")


def test_a_restarted_replica_loses_no_rows_of_the_other(prometheus: Answers, world: World) -> None:
    """A counter that falls back to 0 is a reset: the rows before it still count."""
    client = prometheus.client
    world.replicas[0]._rows.reset()
    wait(lambda: ask(client, "min(kontinual_predictions_total)") == {(): 0}, client)
    query = "sum(increase(kontinual_predictions_total[10m]))"
    # increase() extrapolates by up to a scrape at each end, of some ten that were taken;
    # a reset taken for a fall would lose the half of the rows.
    assert 0.95 * ROWS <= ask(client, query)[()] <= 1.2 * ROWS
