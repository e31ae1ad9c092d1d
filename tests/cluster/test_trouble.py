"""Rollouts and searches in trouble on a cluster: real pods, real refusals, imitated controllers."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_kube_config

from components.images import TRAIN
from kontinual.cluster import Lease
from kontinual.errors import TrainingError
from kontinual.rollout import Phase, RolloutResult, RolloutState, resume, rollout, utc_now
from kontinual.rollout.kserve import (
    ClusterStore,
    KServeApi,
    KServeGateway,
    PackagePlace,
    rollout_name,
)
from kontinual.rollout.kserve.manifest import SERVICE_ACCOUNT
from kontinual.spec import Loop, Outcome, load_loop
from kontinual.tuning.katib import KatibApi, Task, tune_on_katib
from tests.cluster import outside, overlay
from tests.cluster.imitation.katib import KatibController
from tests.cluster.imitation.pipelines import ReviewingServer
from tests.cluster.kubectl import Kubectl
from tests.cluster.machine import ROOT, wait_until
from tests.cluster.predictors import KServe
from tests.integration.rollout.real_servers import RunningEnvoy
from tests.integration.tuning.conftest import MemoryTracker
from tests.kube.clients import Killed, MortalClient
from tests.unit.rollout.rollout_world import Behaviour, FileRegistry, Labels, Traffic
from tests.unit.serving.conftest import write_package

TROUBLE = "trouble"
NAME = "delays"
PLAN = {
    "steps": [20, 100],
    "min_requests": 40,
    "step_duration": "1s",
    "step_timeout": "5m",
}
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
LEASE_SECONDS = 15


def declared(**serving: Any) -> Loop:
    tree = load_loop(str(ROOT / "examples/flights/loop.yaml")).model_dump(by_alias=True)
    served = {**SMALL, "ready_timeout": "5m", **serving}
    return Loop.model_validate({**tree, "name": NAME, "rollout": PLAN, "serving": served})


class Meddling(ApiClient):  # type: ignore[misc]
    """Someone else changes the InferenceService right before this process writes it."""

    def __init__(self, configuration: Configuration, kubectl: Kubectl) -> None:
        super().__init__(configuration)
        self._kubectl, self.left = kubectl, 1

    def request(self, method: str, url: str, **options: Any) -> Any:
        if method == "PUT" and url.endswith(f"/inferenceservices/{NAME}") and self.left:
            self.left -= 1
            patch = json.dumps({"spec": {"predictor": {"timeout": 60}}})
            target = ("patch", "inferenceservice", NAME, "-n", TROUBLE)
            self._kubectl(*target, "--type=merge", "-p", patch)
        return super().request(method, url, **options)


class Deathbed:
    """A store whose process dies as soon as it has written down that a phase begins."""

    def __init__(self, store: ClusterStore, client: MortalClient, last: Phase) -> None:
        self._store, self._client, self._last = store, client, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save(self, state: RolloutState) -> None:
        self._store.save(state)
        if state.phase is self._last:
            self._client.left = 0
            raise Killed


class World:
    """Processes that roll out, one after another, and what they share."""

    def __init__(self, kubectl: Kubectl, kserve: KServe, configuration: Configuration) -> None:
        self.kubectl, self.kserve, self.configuration = kubectl, kserve, configuration
        self.loop = declared()

    def begin(self, folder: Path) -> None:
        """One champion, with all the traffic."""
        self.registry = FileRegistry(folder)
        for version in ("1", "2"):
            write_package(self.registry.package(version), seed=int(version))
        observer = self.gateway(ApiClient(self.configuration), check=lambda: None)
        self.traffic = Traffic(observer, {v: Behaviour() for v in ("1", "2")})  # type: ignore[arg-type]
        observer.deploy("1", self.registry.package("1"))
        self.registry.crown("1")

    def gateway(self, client: ApiClient, *, check: Any) -> KServeGateway:
        api = KServeApi(client, TROUBLE, NAME, check=check)
        return KServeGateway(self.loop, api, PackagePlace(f"s3://kontinual/{TROUBLE}"))

    def process(self, client: ApiClient | None = None) -> dict[str, Any]:
        client = client or ApiClient(self.configuration)
        lease = Lease(client, TROUBLE, rollout_name(NAME), seconds=LEASE_SECONDS)
        return {
            "gateway": self.gateway(client, check=lease.check),
            "store": ClusterStore(client, TROUBLE, NAME, lease=lease, sleep=time.sleep),
            "metrics": self.traffic,
            "outcomes": Labels(self.traffic, utc_now),
            "registry": self.registry,
        }

    def run(self, client: ApiClient | None = None) -> RolloutResult:
        return rollout(self.loop, champion="1", challenger="2", **self.process(client))

    def versions(self) -> set[str]:
        """Of the pods that there are."""
        selector = f"serving.kserve.io/inferenceservice={NAME}"
        pods = self.kubectl.get("pods", namespace=TROUBLE, selector=selector)["items"]
        return {pod["metadata"]["labels"]["kontinual.dev/version"] for pod in pods}

    def assert_one_champion(self, version: str) -> None:
        assert self.registry.champion() == version
        wait_until(lambda: self.versions() == {version}, f"version {version} is not alone")
        spec = self.kubectl.get("inferenceservice", NAME, namespace=TROUBLE)["spec"]
        assert spec["predictor"]["labels"]["kontinual.dev/version"] == version
        assert "canary" not in spec


@pytest.fixture(scope="module")
def configuration(kubectl: Kubectl) -> Configuration:
    made = Configuration()
    load_kube_config(client_configuration=made)
    return made


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl, kubeflow: ReviewingServer, profile: str) -> Iterator[str]:
    kubectl.apply(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TROUBLE}}],
    )
    kubectl.apply(outside.secrets(TROUBLE, ledger="sqlite://"))
    (account,) = [
        r
        for r in overlay.resources(kubectl, "standalone")
        if r["metadata"]["name"] == SERVICE_ACCOUNT
    ]
    account["metadata"]["namespace"] = TROUBLE
    kubectl.apply([account])
    yield TROUBLE
    kubectl("delete", "namespace", TROUBLE, "--wait=false")


@pytest.fixture
def world(
    kubectl: Kubectl,
    client: ApiClient,
    configuration: Configuration,
    namespace: str,
    tmp_path: Path,
) -> Iterator[World]:
    envoy = RunningEnvoy(tmp_path / "envoy")
    try:
        with KServe(client, namespace, envoy, name=NAME).running() as kserve:
            made = World(kubectl, kserve, configuration)
            made.begin(tmp_path)
            yield made
            kinds = f"inferenceservice/{NAME}", f"configmap/{rollout_name(NAME)}"
            kubectl("delete", *kinds, "-n", namespace, "--ignore-not-found")
            wait_until(lambda: not made.versions(), "the pods do not go")
    finally:
        envoy.close()


def test_a_challenger_that_no_node_has_room_for_is_given_up_with_the_schedulers_words(
    world: World,
) -> None:
    world.loop = declared(ready_timeout="20s")
    nodes = world.kubectl("get", "nodes", "-o", "name").split()
    world.kubectl("cordon", *nodes)
    try:
        result = world.run()
    finally:
        world.kubectl("uncordon", *nodes)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "version 2 is not deployed after 20 s" in result.reason
    assert "unschedulable" in result.reason
    world.assert_one_champion("1")


def test_a_model_that_can_not_be_loaded_is_told_by_the_pods_own_words(world: World) -> None:
    (world.registry.package("2") / "model.onnx").write_bytes(b"not a model")
    result = world.run()
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("version 2 can not be loaded: ")
    assert "model.onnx" in result.reason
    world.assert_one_champion("1")


def test_someone_elses_change_stops_the_rollout_and_stays(world: World) -> None:
    result = world.run(Meddling(world.configuration, world.kubectl))
    assert result.outcome is Outcome.ROLLED_BACK
    assert "was changed by someone else at the same time" in result.reason
    world.assert_one_champion("1")
    spec = world.kubectl.get("inferenceservice", NAME, namespace=TROUBLE)["spec"]
    assert spec["predictor"]["timeout"] == 60


def test_someone_elses_change_while_it_is_promoted_does_not_keep_it_from_its_end(
    world: World,
) -> None:
    meddling = Meddling(world.configuration, world.kubectl)
    meddling.left = 0
    crown = world.registry.crown

    def crown_and_meddle(version: str) -> None:
        crown(version)
        meddling.left = 1

    world.registry.crown = crown_and_meddle  # type: ignore[method-assign]
    assert world.run(meddling).outcome is Outcome.PROMOTED
    assert meddling.left == 0
    world.assert_one_champion("2")


# The thread that renews the lease dies with its process.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("last", [phase for phase in Phase if not phase.ended])
def test_a_rollout_that_is_killed_at_any_step_is_resumed_to_one_champion(
    world: World, last: Phase
) -> None:
    """Before and after every single request is `tests/integration/rollout/test_kserve_kill.py`."""
    harmful = last is Phase.ROLLING_BACK
    if harmful:
        world.traffic.versions["2"] = Behaviour(score=0.8)
    client = MortalClient(world.configuration, fuse=0)
    parts = world.process(client)
    parts["store"] = Deathbed(parts["store"], client, last)
    with pytest.raises(Killed):
        rollout(world.loop, champion="1", challenger="2", **parts)
    ended = resume(world.loop, **world.process())
    assert ended is not None
    assert ended.outcome is (Outcome.ROLLED_BACK if harmful else Outcome.PROMOTED)
    world.assert_one_champion("1" if harmful else "2")


def test_a_search_whose_trials_fail_ends_with_katibs_reason_and_the_pods(
    client: ApiClient, namespace: str
) -> None:
    tree = load_loop(str(ROOT / "examples/flights/loop.yaml")).model_dump(by_alias=True)
    tree["training"]["tuning"] = {
        "trials": 2,
        "parallel": 1,
        "algorithm": "random",
        "timeout": "10m",
        "katib": {"max_failed": 1, "job": {"requests": {"cpu": "100m", "memory": "128Mi"}}},
    }
    task = Task(
        loop_url="s3://kontinual/nowhere/loop.yaml",
        run_id="flights-1",
        span=1,
        seed=1,
        image=TRAIN,
        environment={"AWS_ENDPOINT_URL": "http://minio-service.kubeflow:9000"},
    )
    katib = KatibController(client, namespace)
    with (
        katib.running(pause_seconds=0.3),
        pytest.raises(TrainingError, match="max failed count has reached") as told,
    ):
        tune_on_katib(
            Loop.model_validate(tree),
            task,
            api=KatibApi(client, namespace),
            tracker=MemoryTracker(),  # type: ignore[arg-type]
        )
    assert "its Job failed (Error, exit code 1: s3://kontinual/nowhere/loop.yaml" in str(told.value)
