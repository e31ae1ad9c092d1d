"""A cluster with KServe, small and in this process; time passes only while someone sleeps.

The API server is tests/kube's, controllers are tests/cluster/imitation's. What a rollout
process is made of (`process`) can be made anew, as after a kill.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Self

from kubernetes.client import ApiClient
from rollout_world import Behaviour, FileRegistry, Labels, Traffic

from kontinual.cluster import Lease
from kontinual.rollout import RolloutResult, rollout
from kontinual.rollout.kserve import ClusterStore, KServeApi, KServeGateway, PackagePlace
from kontinual.rollout.plan import MIN_STEP_SECONDS
from kontinual.spec import Loop
from tests.cluster.imitation.kserve.controller import Cluster, KServeImitation
from tests.cluster.imitation.kserve.nodes import GatewayImitation, NodesImitation
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES, PODS, Objects
from tests.cluster.imitation.kserve.webhook import webhook
from tests.kube.server import KubeServer

TEAM = "team"
LEASE_SECONDS = 20


class SteppedLease(Lease):
    """Renewed when the world's time passes, and not in the background."""

    def _renew_until(self, stop: Event) -> None:
        return


class KServeWorld:
    """The cluster, and the registry and traffic that are not of it."""

    def __init__(self, folder: Path, loop: Loop, cluster: Cluster, *, direct: bool = False) -> None:
        """Nothing is there yet; `direct` processes ask the API server without HTTP."""
        self.loop, self.folder, self.cluster = loop, folder, cluster
        self._direct = direct
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.fates: dict[str, str] = {}
        self.routes: dict[str, dict[str, int]] = {}
        self.broken = False  # the controllers are away
        self.alive: list[Lease] = []  # of processes, which renew while time passes
        self._seen: tuple[int, str] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.server = self._stack.enter_context(KubeServer())
        self._stack.enter_context(self.server.admitting(webhook(self.cluster)))
        client = self._stack.enter_context(self.server.client(direct=True))
        self.objects = Objects(client, TEAM)
        self.kserve = KServeImitation(client, TEAM, self.cluster)
        self.nodes = NodesImitation(self.objects, self.fate)
        self.edge = GatewayImitation(self.objects, self.routes.__setitem__)
        self.registry = FileRegistry(self.folder)
        self.observer = self.gateway(client, check=lambda: None)
        behaviours = {str(n): Behaviour() for n in range(1, 6)}
        self.traffic = Traffic(self.observer, behaviours)  # type: ignore[arg-type]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def client(self, fuse: int = 0) -> ApiClient:
        return self._stack.enter_context(self.server.client(fuse=fuse, direct=self._direct))

    def fate(self, pod: dict[str, Any]) -> str:
        return self.fates.get(pod["metadata"]["labels"].get("kontinual.dev/version"), "ready")

    def clock(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for lease in self.alive:
            lease.renew()
        self.step()

    def _look_seldom(self, seconds: float) -> None:
        """As long as a step lasts at least: nothing new happens between more looks."""
        self.sleep(max(seconds, MIN_STEP_SECONDS))

    def step(self) -> None:
        """The controllers' turn, if anything changed for them."""
        if self.broken or self._seen == self._now_seen():
            return
        self._seen = self._now_seen()
        self.kserve.step()
        self.nodes.step()
        self.edge.step()

    def _now_seen(self) -> tuple[int, str]:
        changed = self.server.store.last_change(ignoring={"leases", "configmaps"})
        return changed, str(self.fates)

    def gateway(self, client: ApiClient, *, check: Any) -> KServeGateway:
        api = KServeApi(client, TEAM, self.loop.name, check=check, sleep=self.sleep)
        places = PackagePlace((self.folder / "models").as_uri(), uri="s3://models")
        times = {"clock": self.seconds, "sleep": self.sleep}
        return KServeGateway(self.loop, api, places, **times)

    def lease(self, client: ApiClient) -> Lease:
        times = {"clock": self.seconds, "sleep": self.sleep}
        return SteppedLease(client, TEAM, "rollout", seconds=LEASE_SECONDS, **times)

    def process(self, *, fuse: int = 0) -> dict[str, Any]:
        """The collaborators of a new process, which a fuse kills (see `KubeServer.client`)."""
        client = self.client(fuse)
        lease = self.lease(client)
        self.alive.append(lease)
        return {
            "gateway": self.gateway(client, check=lease.check),
            "store": ClusterStore(client, TEAM, self.loop.name, lease=lease, sleep=self.sleep),
            "metrics": self.traffic,
            "outcomes": Labels(self.traffic, self.clock),
            "registry": self.registry,
            "clock": self.clock,
            "sleep": self._look_seldom,
        }

    def rollout(self, challenger: str = "2", champion: str | None = "1") -> RolloutResult:
        """A whole one, by a new process."""
        return rollout(self.loop, champion=champion, challenger=challenger, **self.process())

    def package(self, version: str) -> Path:
        folder = self.registry.package(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(f'{{"version": "{version}"}}')
        return folder

    def serve(self, champion: str) -> None:
        """As it is before a rollout: one champion with all the traffic."""
        self.observer.deploy(champion, self.package(champion))
        self.observer.shift({champion: 100})
        self.registry.crown(champion)

    @property
    def service(self) -> dict[str, Any]:
        found = self.objects.get(INFERENCE_SERVICES, self.loop.name)
        assert found is not None
        return found

    def pods(self, version: str) -> set[str]:
        found = self.objects.find(PODS, f"kontinual.dev/version={version}")
        return {pod["metadata"]["uid"] for pod in found}

    def settle(self) -> None:
        for _ in range(6):
            self.step()

    def assert_one_champion(self) -> None:
        """The promise: one champion has 100 %, and nothing else is left."""
        self.settle()
        champion = self.registry.champion()
        assert champion is not None
        assert self.observer.weights() == {champion: 100}
        spec = self.service["spec"]
        assert spec["predictor"]["labels"]["kontinual.dev/version"] == champion
        assert "canary" not in spec
        assert "canaryTrafficPercent" not in spec["predictor"]
        pods = self.objects.find(PODS)
        assert {p["metadata"]["labels"]["kontinual.dev/version"] for p in pods} == {champion}
