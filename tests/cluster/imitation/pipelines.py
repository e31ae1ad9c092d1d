"""Kubeflow Pipelines' way of running a pipeline: each step a pod of its image.

The API is `tests/kfp`'s. What is asked for there is run here: kfp itself goes through the compiled
pipeline as it was uploaded, and each task becomes a Job with the account, settings and Secrets
that Kubeflow Pipelines would give it. Who asks is known by the API server: a token is reviewed for
the audience of Kubeflow Pipelines, and what its account may do is asked as for any resource.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import local
from kfp.local import subprocess_task_handler as tasks
from kfp.local.pipeline_orchestrator import run_local_pipeline
from kfp.local.status import Status
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec
from kubernetes.client import (
    ApiClient,
    AuthenticationV1Api,
    AuthorizationV1Api,
    BatchV1Api,
    CoreV1Api,
)
from ruamel.yaml import YAML

from tests.kfp.server import KfpServer, Refused
from tests.repeating import repeating

__all__ = ["AUDIENCE", "Executor", "ReviewingServer"]

Json = dict[str, Any]
AUDIENCE = "pipelines.kubeflow.org"
RUN_LABEL = "pipeline/runid"
POLL_SECONDS = 0.3


class Allowed(set[str]):
    """The namespaces in which an account may do something with runs."""

    def __init__(self, client: ApiClient, account: str) -> None:
        super().__init__()
        self._api, self._account = AuthorizationV1Api(client), account

    def __contains__(self, namespace: object) -> bool:
        wanted = {
            "namespace": namespace,
            "group": AUDIENCE,
            "resource": "runs",
            "verb": "create",
        }
        spec = {"user": self._account, "resourceAttributes": wanted}
        answer = self._api.create_subject_access_review({"spec": spec})
        return bool(answer.status.allowed)


class ReviewingServer(KfpServer):
    """Knows its callers by the cluster alone."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(multi_user=True)
        self.callers: set[str] = set()
        self._client = client

    def _namespaces(self, headers: Message) -> set[str]:
        token = (headers.get("authorization") or "").removeprefix("Bearer ")
        review = {"spec": {"token": token, "audiences": [AUDIENCE]}}
        answer = AuthenticationV1Api(self._client).create_token_review(review).status
        if not answer.authenticated or AUDIENCE not in (answer.audiences or []):
            raise Refused(401, f"Failed to authenticate token: {answer.error or 'no such token'}")
        self.callers.add(answer.user.username)
        return Allowed(self._client, answer.user.username)


class Executor:
    """Runs what a KFP server was asked to run, one run after another.

    Args:
        client: of the cluster.
        namespace: of the profile, where the pods run.
        server: whose runs these are.
        folder: for what steps hand on, which the pods see at the same place.
        account: of the pods.
    """

    def __init__(
        self, client: ApiClient, namespace: str, server: KfpServer, folder: Path, account: str
    ) -> None:
        self.pods: dict[str, str] = {}  # what the pod of a step said, by `RUN/STEP`
        self._batch, self._core = BatchV1Api(client), CoreV1Api(client)
        self._namespace, self._server, self._folder = namespace, server, folder
        self._account = account
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Executor"]:
        """Take up runs as long as the block lasts."""
        with repeating(self._turn, pause=POLL_SECONDS, name="pipelines") as self._over:
            yield self

    def _turn(self) -> None:
        for run in [r for r in self._server.kept["runs"] if r["state"] == "PENDING"]:
            self._run(run)

    def _run(self, run: Json) -> None:
        run["state"] = "RUNNING"
        pipeline, platform = list(YAML(typ="safe").load_all(self._server.uploads[-1]))
        spec = json_format.ParseDict(pipeline, PipelineSpec())
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        containers = pipeline["deploymentSpec"]["executors"]
        failed: list[str] = []
        executor = self

        class StepInPod(tasks.SubprocessTaskHandler):
            def validate_image(self, image: str) -> None:
                """It is the pod's."""

            def run(self) -> Status:
                step = self.full_command[self.full_command.index("--function_to_execute") + 1]
                container = {
                    "image": self.image,
                    "command": self.full_command,
                    "env": _environment(executors.get(f"exec-{step}", {})),
                    "resources": _resources(containers[f"exec-{step}"]["container"]),
                }
                job = executor._job(run, step, container)
                if executor._follow(job, run, step):
                    return Status.SUCCESS
                failed.append(step)
                return Status.FAILURE

        root = self._folder / run["run_id"]
        root.mkdir(parents=True)
        for each in (self._folder, root):
            each.chmod(0o777)
        # kfp.local finds its runner by exact type, but this handler when a task starts.
        former, tasks.SubprocessTaskHandler = tasks.SubprocessTaskHandler, StepInPod
        try:
            runner = local.SubprocessRunner(use_venv=False)
            local.init(runner, pipeline_root=str(root), raise_on_error=False)
            run_local_pipeline(spec, _arguments(spec, run))
        finally:
            tasks.SubprocessTaskHandler = former
        if run["state"] == "CANCELING":
            run["state"] = "CANCELED"
        elif failed:
            self._server.finish(run["run_id"], "FAILED", f"{', '.join(failed)} failed")
        else:
            self._server.finish(run["run_id"], "SUCCEEDED")

    def _job(self, run: Json, step: str, container: Json) -> str:
        name = f"{run['run_id']}-{step}"
        container = {
            **container,
            "name": "main",
            "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [
                {"name": "artifacts", "mountPath": str(self._folder)},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
            "securityContext": {
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        pod = {
            "serviceAccountName": self._account,
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [
                {"name": "artifacts", "hostPath": {"path": str(self._folder)}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }
        labels = {RUN_LABEL: run["run_id"]}
        template = {"metadata": {"labels": labels}, "spec": pod}
        meta = {"name": name, "labels": labels}
        body = {"metadata": meta, "spec": {"backoffLimit": 0, "template": template}}
        self._batch.create_namespaced_job(self._namespace, body)
        return name

    def _follow(self, job: str, run: Json, step: str) -> bool:
        """Wait for a Job's end; did it succeed? A run that is cancelled takes its pod along."""
        while True:
            status = self._batch.read_namespaced_job_status(job, self._namespace).status
            ended = {c.type for c in status.conditions or [] if c.status == "True"}
            if ended:
                self.pods[f"{run['display_name']}/{step}"] = self._said(job)
                return "Complete" in ended
            if run["state"] == "CANCELING" or self._over.is_set():
                self._batch.delete_namespaced_job(
                    job, self._namespace, propagation_policy="Foreground"
                )
                return False
            time.sleep(POLL_SECONDS)

    def _said(self, job: str) -> str:
        pods = self._core.list_namespaced_pod(self._namespace, label_selector=f"job-name={job}")
        return "".join(
            self._core.read_namespaced_pod_log(
                pod.metadata.name, self._namespace, _preload_content=False
            ).data.decode()
            for pod in pods.items
        )


def _arguments(spec: PipelineSpec, run: Json) -> Json:
    given = run.get("runtime_config", {}).get("parameters", {})
    known = spec.root.input_definitions.parameters
    assert given.keys() <= set(known), f"parameters that the pipeline does not know: {given}"
    return dict(json.loads(json.dumps(given)))


def _resources(container: Json) -> Json:
    """Requests and limits as the driver writes them into the pod."""
    told = container.get("resources", {})
    return {
        f"{kind.lower()}s": {
            what.lower(): told[f"resource{what}{kind}"]
            for what in ("Cpu", "Memory")
            if f"resource{what}{kind}" in told
        }
        for kind in ("Request", "Limit")
    }


def _environment(settings: Json) -> list[Json]:
    """Variables by reference, as the driver of Kubeflow Pipelines writes them into the pod.

    As one before 2.15 does: what is marked as optional is required all the same.
    """
    found = []
    for source in settings.get("configMapAsEnv", []):
        for key in source["keyToEnv"]:
            where = {"name": source["configMapName"], "key": key["configMapKey"]}
            found.append({"name": key["envVar"], "valueFrom": {"configMapKeyRef": where}})
    for source in settings.get("secretAsEnv", []):
        for key in source["keyToEnv"]:
            where = {"name": source["secretName"], "key": key["secretKey"]}
            found.append({"name": key["envVar"], "valueFrom": {"secretKeyRef": where}})
    return found
