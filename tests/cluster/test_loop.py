"""The whole loop on a cluster, told once: a first model, traffic, labels, an alert, the next model.

Real are the API server with its accounts, all pods and their images, Prometheus, Alertmanager,
Envoy, MLflow, PostgreSQL and the object store. Imitated are the controllers of KServe and Katib
and the server of Kubeflow Pipelines, which act through that API server.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes.client import ApiClient

from components.images import TRAIN
from kontinual.trigger.client import TriggerClient
from tests.cluster.conftest import kontinual
from tests.cluster.discovery import discovery
from tests.cluster.imitation.katib import KatibController
from tests.cluster.imitation.pipelines import Executor, ReviewingServer
from tests.cluster.kubectl import Kubectl
from tests.cluster.loop import later
from tests.cluster.machine import wait_until
from tests.cluster.monitors import alertmanager, alertmanager_config, prometheus
from tests.cluster.outside import TOKEN
from tests.cluster.predictors import KServe
from tests.integration.rollout.real_servers import RunningEnvoy
from tests.repeating import repeating

RUN_SECONDS = 1200
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Cluster:
    """All that moves in the profile's namespace."""

    kubectl: Kubectl
    namespace: str
    kserve: KServe
    katib: KatibController
    pipelines: Executor
    gateway: str
    prometheus: str
    alertmanager: str
    trigger: TriggerClient
    collector: str
    answers: list[int] = field(default_factory=list)

    def run(self, name: str) -> dict[str, Any]:
        """A run at its end."""

        def ended() -> dict[str, Any] | None:
            if self.katib.error:
                raise self.katib.error
            found = self.trigger.run(name)
            return found if found["state"] == "ended" else None

        found = wait_until(ended, f"run {name} has not ended", seconds=RUN_SECONDS, pause=1)
        assert found is not None
        return found

    def predict(self, row: dict[str, Any]) -> httpx.Response:
        asked = {k: v for k, v in row.items() if k != "late"}
        url = f"{self.gateway}/v1/models/flights:predict"
        return httpx.post(url, json={"instances": [asked]}, timeout=60)

    def label(self, rows: list[dict[str, Any]]) -> None:
        labels = [{"id": row["flight_id"], "label": row["late"]} for row in rows]
        httpx.post(
            f"{self.collector}/api/v1/labels", json={"labels": labels}, timeout=60
        ).raise_for_status()

    @contextmanager
    def traffic(self, rows: list[dict[str, Any]]) -> Iterator[None]:
        """Requests without pause as long as the block lasts; the answers' codes are kept."""
        turn = itertools.cycle(rows)
        with repeating(
            lambda: self.answers.append(self.predict(next(turn)).status_code), pause=0.05
        ):
            yield


@pytest.fixture(scope="module")
def cluster(
    kubectl: Kubectl, client: ApiClient, kubeflow: ReviewingServer, profile: str, folder: Path
) -> Iterator[Cluster]:
    rendered = render(kubectl, folder, profile)
    monitors = [*rendered, *kubectl.get("servicemonitors", namespace=profile)["items"]]
    managed = next(r for r in rendered if r["kind"] == "AlertmanagerConfig")
    addresses = {
        name: kubectl.get("service", f"kontinual-{name}", namespace=profile)["spec"]["clusterIP"]
        for name in ("trigger", "collector")
    }
    names = {f"kontinual-trigger.{profile}.svc": addresses["trigger"]}
    settings = alertmanager_config(managed, TOKEN, names)
    with ExitStack() as stack:
        envoy = RunningEnvoy(folder / "envoy")
        stack.callback(envoy.close)
        kserve = KServe(client, profile, envoy, name="flights")
        steps = Executor(client, profile, kubeflow, folder / "runs", "default-editor")
        katib = KatibController(client, profile)
        watched = folder / "prometheus"
        watched.mkdir()
        stack.enter_context(discovery(client, profile, watched))
        watcher = prometheus(watched, monitors)
        manager = alertmanager(folder / "alertmanager", settings)
        trigger = TriggerClient(f"http://{addresses['trigger']}:8082", token=TOKEN)
        yield Cluster(
            kubectl,
            profile,
            stack.enter_context(kserve.running()),
            stack.enter_context(katib.running(pause_seconds=0.3)),
            stack.enter_context(steps.running()),
            gateway=envoy.url,
            prometheus=stack.enter_context(watcher),
            alertmanager=stack.enter_context(manager),
            trigger=stack.enter_context(trigger),
            collector=f"http://{addresses['collector']}:8081",
        )


def render(kubectl: Kubectl, folder: Path, namespace: str) -> list[dict[str, Any]]:
    """`kontinual render --target kubeflow`, applied; the resources as the cluster has them."""
    out = folder / "rendered"
    declaration = str(folder / "loop.yaml")
    where = ("--target", "kubeflow", "--namespace", namespace, "-o", str(out))
    kontinual("render", declaration, *where)
    resources = kubectl.kustomize(out)
    kubectl.apply(resources)
    return resources


@pytest.fixture(scope="module")
def first(cluster: Cluster) -> dict[str, Any]:
    """The first model's run, which a person asked for."""
    asked = cluster.trigger.ask("the first model", past_policy=True)
    assert asked["decision"] == "accept", asked
    return cluster.run(asked["run"])


def test_a_person_asks_for_the_first_model_and_it_serves(
    cluster: Cluster, first: dict[str, Any]
) -> None:
    assert first["outcome"] == "promoted", said(cluster, first)
    assert cluster.kserve.history == [{"flights-predictor": 100}]
    answer = cluster.predict(later()[0])
    assert answer.status_code == 200, answer.text


def test_its_trials_were_jobs_of_the_train_image(cluster: Cluster, first: dict[str, Any]) -> None:
    jobs = trial_jobs(cluster, first["id"])
    assert len(jobs) == 2
    for job in jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["image"] == TRAIN
        assert job["status"]["succeeded"] == 1
    outputs = cluster.katib.trials.outputs.values()
    assert all("log_loss=" in output for output in outputs)


def trial_jobs(cluster: Cluster, run: str) -> list[dict[str, Any]]:
    selector = f"kontinual.dev/run={run}"
    trials = cluster.kubectl.get("trials", namespace=cluster.namespace, selector=selector)
    return [
        cluster.kubectl.get("job", t["metadata"]["name"], namespace=cluster.namespace)
        for t in trials["items"]
    ]


def test_the_server_of_pipelines_knew_the_trigger_by_its_own_token(
    kubeflow: ReviewingServer, first: dict[str, Any], profile: str
) -> None:
    assert f"system:serviceaccount:{profile}:kontinual-trigger" in kubeflow.callers


@pytest.fixture(scope="module")
def second(cluster: Cluster, first: dict[str, Any]) -> dict[str, Any]:
    """The next model's run, which nobody asked for but the labels that came."""
    rows = later()
    with cluster.traffic(rows):
        wait_until(lambda: len(cluster.answers) >= len(rows), "no traffic", seconds=RUN_SECONDS)
        cluster.label(rows)
        found = wait_until(lambda: alerted(cluster), "no alert became a run", seconds=RUN_SECONDS)
        return cluster.run(found["run"])


def alerted(cluster: Cluster) -> dict[str, Any] | None:
    """The trigger that an alert brought and that was accepted."""
    answer = httpx.get(
        f"{cluster.trigger.url}/api/v1/triggers", headers=KNOWN, timeout=30
    ).raise_for_status()
    found = [t for t in answer.json() if t["source"] == "alertmanager" and t["run"]]
    return dict(found[0]) if found else None


def test_new_labels_become_an_alert_and_the_alert_a_run_that_is_promoted(
    cluster: Cluster, second: dict[str, Any]
) -> None:
    assert second["outcome"] == "promoted", said(cluster, second)
    assert second["champion"] == "2"


def test_its_canary_had_a_fifth_of_the_traffic_before_it_had_all(
    cluster: Cluster, second: dict[str, Any]
) -> None:
    stable, canary = "flights-predictor", "flights-v2-predictor"
    assert cluster.kserve.history == [
        {stable: 100},
        {stable: 80, canary: 20},
        {canary: 100},
    ]
    assert [(s["weight"], s["verdict"]) for s in second["steps"]] == [
        (20, "passed"),
        (100, "passed"),
    ]
    assert all(s["requests"] >= 30 for s in second["steps"])


def test_no_request_failed_while_the_model_changed(
    cluster: Cluster, second: dict[str, Any]
) -> None:
    assert set(cluster.answers) == {200}


def test_the_ledger_holds_every_decision_with_its_reason(
    cluster: Cluster, second: dict[str, Any]
) -> None:
    found = alerted(cluster)
    assert found is not None
    assert (found["decision"], found["rule"]) == ("accept", "accepted")
    assert found["reason"]


def said(cluster: Cluster, run: dict[str, Any]) -> str:
    """A run, and the last words of each of its pods."""
    logs = {k: v[-1500:] for k, v in cluster.pipelines.pods.items() if k.startswith(run["id"])}
    return "\n".join([str(run), *(f"--- {k}\n{v}" for k, v in logs.items())])
