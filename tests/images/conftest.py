"""A run of the whole pipeline in the images that `make test-images` built."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import Mount
from kfp import local
from ruamel.yaml import YAML

from components.images import ENVIRONMENTS, image
from examples.flights.prepare import flights
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Loop, RunRecord, load_loop
from tests.cluster.imitation.kserve.controller import KServeImitation
from tests.cluster.imitation.kserve.nodes import GatewayImitation, NodesImitation
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES
from tests.kube.server import KubeServer
from tests.repeating import repeating

LOOP = Path(__file__).parents[2] / "examples/flights/loop.yaml"
ROWS = 6_000
NAMESPACE = "team"
SOCKET_SECONDS = 60
TURN_SECONDS = 0.1


@dataclass(frozen=True)
class World:
    """A loop at home in a folder that containers see at the same path."""

    url: Path
    loop: Loop
    settings: Settings

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def environment(self) -> dict[str, str]:
        """What a cluster's pods are told."""
        return {
            "KONTINUAL_HOME": str(self.home),
            "KONTINUAL_GATEWAY": "kserve",
            "KONTINUAL_PACKAGES": (self.home / "packages").as_uri(),
            "KONTINUAL_PACKAGES_URI": "pvc://packages",
            "KUBECONFIG": str(self.home / "kubeconfig"),
        }

    def record(self, run_id: str) -> RunRecord | None:
        return Lake(self.settings.lake_url, self.loop).journal(run_id).record()

    def package(self, storage_uri: str) -> Path:
        """Where the folder is that KServe would fetch."""
        return self.home / storage_uri.removeprefix("pvc://")


@pytest.fixture(scope="session", autouse=True)
def _images_are_there() -> None:
    for environment in ENVIRONMENTS:
        found = subprocess.run(["podman", "image", "exists", image(environment)], check=False)
        if found.returncode:
            pytest.exit(f"the image {image(environment)} is not there; run `make test-images`", 1)


@pytest.fixture(scope="session")
def podman_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's API, answered by podman."""
    url = f"unix://{tmp_path_factory.mktemp('api') / 'podman.sock'}"
    with subprocess.Popen(["podman", "system", "service", "--time=0", url]) as service:
        try:
            _wait_for(url, service)
            yield url
        finally:
            service.terminate()


def _wait_for(url: str, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SOCKET_SECONDS
    while True:
        assert service.poll() is None, "`podman system service` ended; its reason stands above"
        try:
            docker.DockerClient(base_url=url).close()
        except docker.errors.DockerException:
            assert time.monotonic() < deadline, f"nothing answers at {url}"
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The flights' loop with few rows and a short search."""
    home = tmp_path_factory.mktemp("world")
    yaml = YAML(typ="safe")
    declared: dict[str, Any] = yaml.load(LOOP)
    declared["training"]["tuning"] |= {"trials": 2, "parallel": 1}
    url = home / "loop.yaml"
    yaml.dump(declared, url)
    flown = flights()
    early = flown[flown["departure"] < datetime(2013, 3, 1, tzinfo=UTC)]
    rows = early.sample(ROWS, random_state=1)
    rows.to_parquet(home / "history.parquet", index=False, coerce_timestamps="us")
    (home / "runs").mkdir()  # else the engine makes it, for root alone
    for folder in (home, home / "runs"):
        folder.chmod(0o777)  # the images' user is another one
    return World(url, load_loop(str(url)), Settings(home=home))


@pytest.fixture(scope="session")
def cluster(world: World) -> Iterator[KubeServer]:
    """A cluster's API with KServe's controller behind it, both imitated."""
    with KubeServer() as server, server.client() as client:
        kserve = KServeImitation(client, NAMESPACE)
        nodes = NodesImitation(kserve.objects, lambda _: "ready")
        gateway = GatewayImitation(kserve.objects, lambda *_: None)
        YAML().dump(server.kubeconfig(namespace=NAMESPACE), world.home / "kubeconfig")
        with _turning(kserve, nodes, gateway):
            yield server


@contextmanager
def _turning(*controllers: KServeImitation | NodesImitation | GatewayImitation) -> Iterator[None]:
    """Let controllers take turns as long as the block runs."""

    def turn() -> None:
        for controller in controllers:
            controller.step()

    with repeating(turn, pause=TURN_SECONDS):
        yield


@pytest.fixture(scope="session")
def promoted(world: World, cluster: KubeServer, podman_socket: str) -> RunRecord:
    """The first run of the loop, each task in a container of its image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", podman_socket)
        record = run_pipeline(world, "first")
    assert record is not None
    return record


@pytest.fixture(scope="session")
def inference_service(promoted: RunRecord, cluster: KubeServer) -> dict[str, Any]:
    """What the run made on the cluster."""
    assert promoted.reason
    with cluster.client() as client:
        (found,) = KServeImitation(client, NAMESPACE).objects.find(INFERENCE_SERVICES)
    return found


def run_pipeline(world: World, run_id: str) -> RunRecord | None:
    """Run the pipeline by kfp's DockerRunner; what the run recorded of itself."""
    from pipelines.continual_learning import continual_learning

    runner = local.DockerRunner(
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="host",
        mounts=[Mount(str(world.home), str(world.home), type="bind")],
        environment=world.environment,
    )
    local.init(runner, pipeline_root=str(world.home / "runs"), raise_on_error=False)
    continual_learning(loop=str(world.url), run_id=run_id)
    return world.record(run_id)
