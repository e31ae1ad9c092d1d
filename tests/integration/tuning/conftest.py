"""A cluster in small: an API server, Katib's imitation, and Jobs that are processes or scripts."""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes.client import ApiClient
from ruamel.yaml import YAML

from kontinual.spec import Loop
from kontinual.tracking import TrialRecord
from kontinual.tuning import Space, Suggestion, TuningResult
from kontinual.tuning.assignments import read
from kontinual.tuning.katib import Clock, KatibApi, Task, tune_on_katib
from tests.cluster.imitation.katib import KatibController, admit
from tests.kube.clients import Killed
from tests.kube.jobs import LocalJobs, Start, start_process
from tests.kube.objects import Json, Key
from tests.kube.server import KubeServer

NAMESPACE = "team"
RUN = "flights-7"
_FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
Trial = Callable[[Suggestion], str | None]
"""What a scripted trial prints; None when it fails, "…" at the end when it never ends."""


class Ended:
    """A process that ended as it began."""

    def __init__(self, code: int | None) -> None:
        self._code = code

    def poll(self) -> int | None:
        return self._code

    def kill(self) -> None:
        self._code = 137

    def wait(self) -> None: ...


class Doomed(ApiClient):  # type: ignore[misc]
    """A client whose process dies at one request, before or after it was carried out."""

    def __init__(self, server: KubeServer, method: str, path: str, *, after: bool) -> None:
        super().__init__(server.client().configuration)
        self._at = (method, path)
        self._after = after
        self._dead = False

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        hit = method == self._at[0] and re.search(self._at[1], urlsplit(url).path)
        if self._dead or (hit and not self._after):
            self._dead = True
            raise Killed
        answer = super().request(method, url, *args, **options)
        if hit:
            self._dead = True
            raise Killed
        return answer


class MemoryTracker:
    """Keeps trials as tracking does."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], TrialRecord] = {}
        self.former: list[TrialRecord] = []
        self.opened: list[str] = []

    def open_run(self, run_id: str) -> None:
        self.opened.append(run_id)

    def log_trial(self, run_id: str, trial: TrialRecord, *, name: str | None = None) -> None:
        self.kept[run_id, str(name)] = trial

    def named_trials(self, run_id: str) -> dict[str, TrialRecord]:
        return {name: trial for (run, name), trial in self.kept.items() if run == run_id}

    def trials(self, limit: int = 200) -> list[TrialRecord]:
        return self.former[:limit]


@dataclass
class Cluster:
    """Everything a search meets on a cluster."""

    server: KubeServer
    loop: Loop
    katib: KatibController
    jobs: LocalJobs
    tracker: MemoryTracker = field(default_factory=MemoryTracker)
    ahead: timedelta = timedelta(0)  # of the search's clock, for time that passes without waiting

    def tune(
        self,
        *,
        client: ApiClient | None = None,
        run: str = RUN,
        loop: Loop | None = None,
        **options: Any,
    ) -> TuningResult:
        with ExitStack() as closing:
            client = client or closing.enter_context(self.server.client())
            return tune_on_katib(
                loop or self.loop,
                task(run),
                api=KatibApi(client, NAMESPACE, sleep=self.sleep),
                tracker=self.tracker,
                clock=Clock(now=lambda: datetime.now(UTC) + self.ahead, sleep=self.sleep),
                **options,
            )

    def sleep(self, _seconds: float) -> None:
        """A search's pause, cut short."""
        if self.katib.error:
            raise self.katib.error
        time.sleep(0.01)

    def find(self, plural: str) -> list[Json]:
        group = "batch" if plural == "jobs" else "kubeflow.org"
        return self.server.store.find(Key(group, plural, NAMESPACE))[0]

    def wait_until_empty(self) -> None:
        """Until the cluster has removed all that belonged to a search."""
        deadline = time.monotonic() + 60
        kinds = ("experiments", "suggestions", "trials", "jobs")
        while any(self.find(kind) for kind in kinds):
            assert time.monotonic() < deadline, {kind: self.find(kind) for kind in kinds}
            time.sleep(0.01)

    def delete(self, plural: str, name: str) -> None:
        self.server.store.delete(Key("kubeflow.org", plural, NAMESPACE, name))


MakeCluster = Callable[..., Any]


def task(run: str = RUN) -> Task:
    return Task(
        loop_url="s3://loops/flights.yaml",
        run_id=run,
        span=1,
        seed=1,
        image="train:1",
        environment={"KONTINUAL_LAKE": "s3://lake"},
    )


def former_trial(number: int, loss: float, **parameters: float) -> TrialRecord:
    """A complete trial of an earlier search."""
    return TrialRecord(
        number=number,
        algorithm="logistic_regression",
        parameters=parameters,
        metrics={"log_loss": loss},
        seconds=1,
        cpu_seconds=1,
        peak_memory_bytes=1,
        seed=1,
        state="complete",
    )


def flights(*trainers: dict[str, Any], **tuning: Any) -> Loop:
    """The flights loop with trainers and a budget of choice."""
    tree = YAML(typ="safe").load(_FLIGHTS)
    search = {"C": {"type": "double", "min": 0.001, "max": 10, "scale": "log"}}
    tree["training"]["trainers"] = list(trainers) or [
        {"algorithm": "logistic_regression", "search": search}
    ]
    tree["training"]["tuning"] = {"trials": 4, "parallel": 2, "algorithm": "random"} | tuning
    return Loop.model_validate(tree)


def good(suggestion: Suggestion) -> str:
    """A trial whose loss is least at C = 1."""
    loss = 0.5 + abs(suggestion.parameters["C"] - 1) / 100
    return lines(log_loss=loss, roc_auc=1 - loss, brier=loss / 3, seconds=2.5, cpu_seconds=2.25) + (
        lines(peak_memory_bytes=150_000_000)
    )


def lines(**figures: float) -> str:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return "".join(f"{now} {name}={value!r}\n" for name, value in figures.items())


def scripted(loop: Loop, trial: Trial) -> Start:
    """Jobs that end at once with what a script says of their parameters."""

    def start(command: Sequence[str], _environment: Mapping[str, str], output: Path) -> Ended:
        assert command[:2] == ["sh", "-c"]
        words = shlex.split(command[2])
        texts = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        said = trial(read(Space.of(loop), dict(text.split("=", 1) for text in texts)))
        output.write_text(said or "")
        return Ended(None if said and said.endswith("…") else 1 if said is None else 0)

    return start


@pytest.fixture
def make_cluster() -> Iterator[MakeCluster]:
    with ExitStack() as closing:

        @contextmanager
        def build(
            loop: Loop, start: Start, environment: Mapping[str, str], pause_seconds: float
        ) -> Iterator[Cluster]:
            with KubeServer() as server, server.admitting(admit), server.client() as client:
                jobs = LocalJobs(server, NAMESPACE, start=start, environment=environment)
                katib = KatibController(client, NAMESPACE)
                with (
                    jobs.running(pause_seconds=pause_seconds),
                    katib.running(pause_seconds=pause_seconds),
                ):
                    yield Cluster(server, loop, katib, jobs)

        def make(
            loop: Loop | None = None,
            trial: Trial | None = good,
            environment: Mapping[str, str] | None = None,
        ) -> Cluster:
            loop = loop or flights()
            start = scripted(loop, trial) if trial else start_process
            # Real processes want the cores that waiting for them would take.
            pause_seconds = 0.005 if trial else 0.2
            return closing.enter_context(build(loop, start, environment or {}, pause_seconds))

        yield make
