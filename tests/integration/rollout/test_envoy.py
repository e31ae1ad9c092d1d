"""The real Envoy keeps the contract, and no request is lost while weights move."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from gateway_contract import GatewayContract
from real_servers import RunningEnvoy
from small_predictors import ProcessPredictors

from kontinual.errors import GatewayError
from kontinual.rollout import EnvoyGateway
from kontinual.rollout.envoy_config import CLUSTERS_FILE, ROUTES_FILE, render_clusters
from tests.repeating import repeating


@pytest.fixture
def gateway(envoy: RunningEnvoy, predictors: ProcessPredictors) -> EnvoyGateway:
    return EnvoyGateway(folder=envoy.folder, admin=envoy.admin, predictors=predictors)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tmp_path


class TestEnvoyGateway(GatewayContract):
    pass


def ask(envoy: RunningEnvoy, count: int) -> Counter[str]:
    with httpx.Client(trust_env=False) as client:
        return Counter(
            client.get(envoy.url).headers.get("x-kontinual-version", "none") for _ in range(count)
        )


def test_traffic_follows_the_weights(
    gateway: EnvoyGateway, envoy: RunningEnvoy, package: Path
) -> None:
    assert ask(envoy, 1) == {"none": 1}
    gateway.deploy("1", package)
    gateway.deploy("2", package)
    gateway.shift({"1": 100})
    assert ask(envoy, 50) == {"1": 50}
    gateway.shift({"1": 75, "2": 25})
    seen = ask(envoy, 600)
    # Five standard deviations of a binomial share of 25 %.
    assert abs(seen["2"] / 600 - 0.25) < 5 * (0.25 * 0.75 / 600) ** 0.5
    gateway.shift({"2": 100})
    assert ask(envoy, 50) == {"2": 50}


def test_no_request_is_lost_while_versions_come_and_go(
    gateway: EnvoyGateway, envoy: RunningEnvoy, predictors: ProcessPredictors, package: Path
) -> None:
    predictors.behaviour = {v: ["--seconds", "0.01"] for v in ("1", "2", "3")}
    gateway.deploy("1", package)
    gateway.shift({"1": 100})
    statuses: Counter[int] = Counter()

    with ExitStack() as clients:
        connection = clients.enter_context(httpx.Client(trust_env=False))

        def ask() -> None:
            statuses[connection.get(envoy.url).status_code] += 1

        for _ in range(3):
            clients.enter_context(repeating(ask, pause=0))
        for old, new in (("1", "2"), ("2", "3"), ("3", "1")):
            gateway.deploy(new, package)
            for share in (5, 50, 100):
                gateway.shift({old: 100 - share, new: share})
            gateway.retire(old)
    assert set(statuses) == {200}
    assert sum(statuses.values()) > 20


def test_the_callers_request_id_is_kept(
    gateway: EnvoyGateway, envoy: RunningEnvoy, package: Path
) -> None:
    gateway.deploy("1", package)
    gateway.shift({"1": 100})
    answer = httpx.get(envoy.url, headers={"x-request-id": "mine-7"}, trust_env=False)
    assert answer.headers["x-request-id"] == "mine-7"


def test_weights_outlive_a_restart_of_envoy(
    gateway: EnvoyGateway, envoy: RunningEnvoy, package: Path
) -> None:
    gateway.deploy("1", package)
    gateway.deploy("2", package)
    gateway.shift({"1": 60, "2": 40})
    envoy.stop()
    with pytest.raises(GatewayError, match="Envoy can not be asked"):
        gateway.weights()
    envoy.start()
    assert gateway.weights() == {"1": 60, "2": 40}
    assert set(ask(envoy, 60)) == {"1", "2"}


def test_what_envoy_refuses_is_an_error_and_the_old_routes_stay(
    gateway: EnvoyGateway, envoy: RunningEnvoy, package: Path
) -> None:
    gateway.deploy("1", package)
    gateway.shift({"1": 100})
    with pytest.raises(GatewayError, match=r"routes\.json: Envoy refused it"):
        gateway._put(ROUTES_FILE, "{}[", stat="http.gateway.rds.predictors", update="x")
    assert ask(envoy, 5) == {"1": 5}
    gateway.shift({"1": 100})


def test_a_predictor_that_does_not_come_up_is_told_and_leaves_the_rest(
    gateway: EnvoyGateway, predictors: ProcessPredictors, package: Path
) -> None:
    gateway.deploy("1", package)
    gateway.shift({"1": 100})
    predictors.behaviour["2"] = ["--no-such-option"]
    with pytest.raises(GatewayError, match="version 2 can not be deployed"):
        gateway.deploy("2", package)
    assert gateway.weights() == {"1": 100}
    gateway.retire("2")


def test_another_folder_than_envoys_is_noticed(
    envoy: RunningEnvoy,
    predictors: ProcessPredictors,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kontinual.rollout.envoy.IN_FORCE_SECONDS", 0.5)
    lost = EnvoyGateway(folder=package / "elsewhere", admin=envoy.admin, predictors=predictors)
    with pytest.raises(GatewayError, match="the Envoy that reads this folder"):
        lost.deploy("1", package)


def test_envoy_takes_many_versions_and_hosts_by_name(gateway: EnvoyGateway) -> None:
    backends = {str(n): ("127.0.0.1", 20_000 + n) for n in range(40)} | {"x": ("localhost", 1)}
    text = render_clusters(backends, update="many")
    gateway._put(CLUSTERS_FILE, text, stat="cluster_manager.cds", update="many")
    assert set(gateway._clusters()) == set(backends)


@pytest.mark.parametrize(
    "path", ["/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/logging?level=trace"]
)
def test_nobody_who_reaches_the_admin_port_can_switch_traffic_off(
    envoy: RunningEnvoy, path: str
) -> None:
    with httpx.Client(base_url=envoy.admin, trust_env=False) as client:
        assert client.post(path).status_code == 403
        assert client.get("/ready").status_code == 200
        assert client.get("/stats/prometheus").status_code == 200
