"""A whole rollout on a real Envoy and a real Prometheus, with requests all the while."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from real_servers import RunningEnvoy, RunningPrometheus
from rollout_world import FileRegistry
from small_predictors import ProcessPredictors

from kontinual.errors import MetricsUnavailable
from kontinual.rollout import (
    EnvoyGateway,
    FolderStore,
    PrometheusMetrics,
    RolloutResult,
    rollout,
)
from kontinual.rollout.sequential import Sample
from kontinual.spec import Loop, Outcome, load_loop
from tests.repeating import repeating

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"


class Live:
    """Champion 1 behind Envoy, watched by Prometheus, asked without a pause."""

    def __init__(
        self,
        folder: Path,
        envoy: RunningEnvoy,
        prometheus: RunningPrometheus,
        predictors: ProcessPredictors,
    ) -> None:
        tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
        plan = {
            "steps": [25, 50, 100],
            "min_requests": 30,
            "step_duration": "3s",
            "step_timeout": "30s",
        }
        self.loop = Loop.model_validate({**tree, "rollout": plan})
        self.envoy, self.prometheus, self.predictors = envoy, prometheus, predictors
        self.gateway = EnvoyGateway(
            folder=envoy.folder, admin=envoy.admin, predictors=Announced(predictors, prometheus)
        )
        self.registry = FileRegistry(folder)
        self.store = FolderStore(folder / "rollout")
        self.metrics = PrometheusMetrics(prometheus.url, model="flights")
        self.gateway.deploy("1", folder)
        self.gateway.shift({"1": 100})
        self.registry.crown("1")

    def roll_out(self) -> RolloutResult:
        return rollout(
            self.loop,
            champion="1",
            challenger="2",
            gateway=self.gateway,
            metrics=self.metrics,
            outcomes=NoLabels(),
            registry=self.registry,
            store=self.store,
        )

    @contextmanager
    def requests(self) -> Iterator[None]:
        with (
            httpx.Client(trust_env=False) as client,
            repeating(lambda: client.get(self.envoy.url), pause=0.01),
        ):
            yield


class NoLabels:
    """A collector to which no labels come."""

    def read(
        self, versions: Sequence[str], *, since: datetime, until: datetime
    ) -> Mapping[str, Sample]:
        return {}


class Announced:
    """Predictors that Prometheus is told of."""

    def __init__(self, inner: ProcessPredictors, prometheus: RunningPrometheus) -> None:
        self._inner, self._prometheus = inner, prometheus

    def start(self, version: str, package: Path) -> int:
        port = self._inner.start(version, package)
        self._prometheus.watch(self._inner.running())
        return port

    def stop(self, version: str) -> None:
        self._inner.stop(version)
        self._prometheus.watch(self._inner.running())

    def running(self) -> dict[str, int]:
        return self._inner.running()


@pytest.fixture
def live(
    tmp_path: Path,
    envoy: RunningEnvoy,
    prometheus: RunningPrometheus,
    predictors: ProcessPredictors,
) -> Live:
    return Live(tmp_path, envoy, prometheus, predictors)


def test_a_good_challenger_takes_over(live: Live) -> None:
    with live.requests():
        result = live.roll_out()
    assert result.outcome is Outcome.PROMOTED, result.reason
    assert [(s.weight, s.verdict) for s in result.steps] == [
        (25, "passed"),
        (50, "passed"),
        (100, "passed"),
    ]
    assert all(s.requests >= 30 for s in result.steps)
    assert live.gateway.weights() == {"2": 100}
    assert live.predictors.running().keys() == {"2"}
    assert live.registry.champion() == "2"


def test_inverted_scores_are_rolled_back_at_the_first_step(live: Live) -> None:
    live.predictors.behaviour["2"] = ["--score", "0.7"]
    with live.requests():
        result = live.roll_out()
    assert result.outcome is Outcome.ROLLED_BACK
    assert [(s.weight, s.verdict) for s in result.steps] == [(25, "failed")]
    assert "mean score" in result.reason
    assert live.gateway.weights() == {"1": 100}
    assert live.predictors.running().keys() == {"1"}


def test_a_canary_that_dies_is_rolled_back_by_what_envoy_saw(live: Live) -> None:
    start = live.predictors.start

    def start_and_die(version: str, package: Path) -> int:
        port = start(version, package)
        if version == "2":
            live.predictors.kill("2")
        return port

    live.predictors.start = start_and_die  # type: ignore[method-assign]
    with live.requests():
        result = live.roll_out()
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.steps[0].verdict == "failed"
    assert "canary requests failed" in result.reason
    assert live.gateway.weights() == {"1": 100}


def test_prometheus_that_is_gone_is_not_taken_for_no_data(live: Live) -> None:
    live.prometheus.close()
    with pytest.raises(MetricsUnavailable, match="Prometheus could not be asked"):
        live.metrics.read(["1"])


def test_a_version_nobody_knows_has_no_counters(live: Live) -> None:
    assert live.metrics.read(["77"]) == {"77": {}}
