"""A small faithful world for rollouts: gateway and registry on files, traffic that answers.

Everything that has to survive a killed process is in files, so a process can be
killed at any point and another one can go on. The rest is simulated: time passes
only while someone sleeps, and every reading of the counters brings new requests.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kontinual.errors import GatewayError, MetricsUnavailable, PromotionConflict
from kontinual.rollout import Counts, FolderStore, check_weights
from kontinual.rollout.envoy_config import write_moved
from kontinual.rollout.sequential import Sample
from kontinual.spec import Loop

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, float("inf"))


class FileGateway:
    """A gateway whose world is one JSON file; it keeps the contract to the letter."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "gateway.json"
        self.broken: set[str] = set()  # names of methods that fail

    def deploy(self, version: str, package: Path) -> None:
        self._fail("deploy")
        state = self._read()
        state["deployed"][version] = str(package)
        self._write(state)

    def shift(self, weights: dict[str, int]) -> None:
        self._fail("shift")
        state = self._read()
        check_weights(weights, list(state["deployed"]))
        state["weights"] = {v: w for v, w in weights.items() if w}
        state["history"].append(state["weights"])
        self._write(state)

    def retire(self, version: str) -> None:
        self._fail("retire")
        state = self._read()
        if state["weights"].get(version):
            raise GatewayError(f"version {version} still has traffic")
        state["deployed"].pop(version, None)
        self._write(state)

    def weights(self) -> dict[str, int]:
        self._fail("weights")
        return dict(self._read()["weights"])

    def deployed(self) -> set[str]:
        return set(self._read()["deployed"])

    def history(self) -> list[dict[str, int]]:
        return list(self._read()["history"])

    def _fail(self, name: str) -> None:
        if name in self.broken:
            raise GatewayError(f"{name} fails")

    def _read(self) -> dict:
        if not self._path.exists():
            return {"deployed": {}, "weights": {}, "history": []}
        return json.loads(self._path.read_text())

    def _write(self, state: dict) -> None:
        write_moved(self._path, json.dumps(state))


class FileRegistry:
    """The champion in a file, changed by compare-and-swap."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "champion.json"
        self._folder = folder
        self.down = False
        self.swaps: list[str] = []
        self.calls = 0
        self._silent = range(0)

    def fall_silent(self, first: int, *, calls: int) -> None:
        """Do not answer the n-th call from now on, and those after it."""
        self.calls, self._silent = 0, range(first, first + calls)

    def speak(self) -> None:
        """Answer again."""
        self._silent = range(0)

    def champion(self) -> str | None:
        self._answer()
        return self._crowned()

    def _answer(self) -> None:
        self.calls += 1
        if self.down or self.calls in self._silent:
            raise ConnectionError("the registry is down")

    def _crowned(self) -> str | None:
        return json.loads(self._path.read_text()) if self._path.exists() else None

    def set_champion(self, version: str, *, expected: str | None) -> None:
        """Silence comes before the swap, or after it, when only the answer is lost."""
        self._answer()
        if self._crowned() != expected:
            raise PromotionConflict(f"champion is {self._crowned()}, not {expected}")
        self.swaps.append(version)
        self.crown(version)
        self._answer()

    def crown(self, version: str) -> None:
        write_moved(self._path, json.dumps(version))

    def package(self, version: str) -> Path:
        self._answer()
        return self._folder / f"package-{version}"


@dataclass
class Behaviour:
    """How a version answers."""

    errors: float = 0.0
    score: float = 0.3
    seconds: float = 0.004
    log_loss: float | None = None  # of each row; None: no labels come
    labels_after: float = 0.0  # seconds


@dataclass
class Traffic:
    """Counters that grow with every reading, by the weights in force."""

    gateway: FileGateway
    versions: dict[str, Behaviour]
    per_read: int = 400
    down: bool = False
    seed: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    answered: list[tuple[str, int]] = field(default_factory=list)  # at the last reading

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def read(self, versions: Sequence[str]) -> Mapping[str, Counts]:
        if self.down:
            raise MetricsUnavailable("Prometheus is down")
        self.answered = []
        for version, weight in self.gateway.weights().items():
            count = int(self._random.binomial(self.per_read, weight / 100))
            self.answered.append((version, count))
            self._answer(self.counts.setdefault(version, {}), self.versions[version], count)
        return {v: dict(self.counts.get(v, {})) for v in versions}

    def _answer(self, counts: Counts, how: Behaviour, requests: int) -> None:
        errors = int(self._random.binomial(requests, how.errors))
        scores = np.clip(self._random.normal(how.score, 0.1, requests - errors), 0, 0.999)
        seconds = self._random.gamma(4, how.seconds / 4, requests)
        grow(counts, "p|requests", requests)
        grow(counts, "p|errors", errors)
        grow(counts, "p|score_sum", float(scores.sum()))
        for index, number in enumerate(np.bincount((scores * 20).astype(int), minlength=20)):
            grow(counts, f"p|score|{index}", int(number))
        for bound in BUCKETS:
            grow(counts, f"p|latency|{bound}", int((seconds <= bound).sum()))


def grow(counts: Counts, key: str, by: float) -> None:
    counts[key] = counts.get(key, 0.0) + by


class Answers(NamedTuple):
    """What one version answered between two readings."""

    at: datetime
    version: str
    count: int


@dataclass
class Labels:
    """The collector's part: what was answered meets its label, some time later."""

    traffic: Traffic
    clock: Callable[[], datetime]
    down: bool = False
    answers: list[Answers] = field(default_factory=list)

    def read(
        self, versions: Sequence[str], *, since: datetime, until: datetime
    ) -> Mapping[str, Sample]:
        self.answers += [Answers(self.clock(), *answered) for answered in self.traffic.answered]
        self.traffic.answered = []
        if self.down:
            raise MetricsUnavailable("the collector is down")
        asked = [a for a in self.answers if since <= a.at < until and a.version in versions]
        return self._losses(itertools.takewhile(self._labelled, asked))

    def _labelled(self, answers: Answers) -> bool:
        how = self.traffic.versions[answers.version]
        due = answers.at + timedelta(seconds=how.labels_after)
        return how.log_loss is not None and due <= self.clock()

    def _losses(self, answers: Iterable[Answers]) -> Mapping[str, Sample]:
        counts = Counter[str]()
        for answered in answers:
            counts[answered.version] += answered.count
        losses = {v: self.traffic.versions[v].log_loss or 0.0 for v in counts}
        return {v: Sample(n, n * losses[v], n * losses[v] ** 2) for v, n in counts.items()}


class Killed(BaseException):
    """The process is gone, as by SIGKILL: nothing of it runs any more."""


class Mortal:
    """Passes every call on, and dies before or after the n-th that changes something."""

    def __init__(self, inner: object, fuse: list[int]) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in {"deploy", "shift", "retire", "set_champion", "save"}:
            return found

        def call(*args: object, **options: object) -> object:
            self._burn()
            result = found(*args, **options)
            self._burn()
            return result

        return call

    def _burn(self) -> None:
        self._fuse[0] -= 1
        if self._fuse[0] == 0:
            raise Killed


class World:
    """All collaborators of a rollout, below one folder."""

    def __init__(self, folder: Path, loop: Loop, **versions: Behaviour) -> None:
        self.loop = loop
        self.gateway = FileGateway(folder)
        self.registry = FileRegistry(folder)
        self.store = FolderStore(folder / "rollout")
        behaviours = {name.removeprefix("v"): how for name, how in versions.items()}
        self.traffic = Traffic(self.gateway, behaviours)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.labels = Labels(self.traffic, self.clock)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def serve(self, champion: str) -> None:
        """As it is before a rollout: one champion with all the traffic."""
        self.gateway.deploy(champion, self.registry.package(champion))
        self.gateway.shift({champion: 100})
        self.registry.crown(champion)

    @property
    def parts(self) -> dict:
        """What rollout and resume take."""
        return {**self.parts_of_abort, "speedup": 1.0}

    @property
    def parts_of_abort(self) -> dict:
        return {
            "gateway": self.gateway,
            "metrics": self.traffic,
            "outcomes": self.labels,
            "registry": self.registry,
            "store": self.store,
            "clock": self.clock,
            "sleep": self.sleep,
        }

    def mortal(self, fuse: int) -> dict[str, object]:
        """Parts of a process that dies at the n-th change; 0: never."""
        left = [fuse]
        return {
            "gateway": Mortal(self.gateway, left),
            "registry": Mortal(self.registry, left),
            "store": Mortal(self.store, left),
        }

    def assert_one_champion(self) -> None:
        """The promise: exactly one champion, and it alone is deployed and has 100 %."""
        champion = self.registry.champion()
        assert champion is not None
        assert self.gateway.weights() == {champion: 100}
        assert self.gateway.deployed() == {champion}
