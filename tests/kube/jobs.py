"""What a cluster does with Jobs, on this machine: each becomes a process and a pod."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tests.kube.objects import Json, Key, Refused
from tests.kube.server import KubeServer
from tests.repeating import repeating

__all__ = ["LocalJobs", "Process", "start_process"]


class Process(Protocol):
    """A container at work."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def kill(self) -> None: ...

    def wait(self) -> Any: ...


Start = Callable[[Sequence[str], Mapping[str, str], Path], Process]


def start_process(
    command: Sequence[str], environment: Mapping[str, str], output: Path
) -> "subprocess.Popen[bytes]":
    """A real process, with this machine's PATH beside what its container is given."""
    with output.open("wb") as file:
        return subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


@dataclass
class _Running:
    job: Json
    pod: str
    process: Process
    output: Path


class LocalJobs:
    """Runs the Jobs of one namespace of a `KubeServer`: one pod each, never restarted.

    Args:
        server: that has the Jobs.
        namespace: that is looked after.
        start: makes a process of a container's command, its environment and a file for its output.
        environment: added to what containers are given.
    """

    def __init__(
        self,
        server: KubeServer,
        namespace: str,
        *,
        start: Start = start_process,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.started: list[Json] = []
        self._server = server
        self._namespace = namespace
        self._start = start
        self._environment = dict(environment or {})
        self._running: dict[str, _Running] = {}

    @contextmanager
    def running(self, *, pause_seconds: float = 0.02) -> Iterator["LocalJobs"]:
        """Run Jobs while the context lasts; at its end their processes are killed."""
        with tempfile.TemporaryDirectory(prefix="kontinual-jobs-") as folder:
            try:
                with repeating(lambda: self._round(Path(folder)), pause=pause_seconds, name="jobs"):
                    yield self
            finally:
                for running in self._running.values():
                    running.process.kill()
                    running.process.wait()

    def _round(self, folder: Path) -> None:
        self._collect_garbage()
        jobs = {j["metadata"]["uid"]: j for j in self._find("batch", "jobs")}
        for uid in self._running.keys() - jobs.keys():
            gone = self._running.pop(uid)
            gone.process.kill()
            gone.process.wait()
        for uid, job in jobs.items():
            if job.get("status", {}).get("conditions"):
                continue
            if uid not in self._running:
                self._running[uid] = self._begin(job, folder)
            self._follow(self._running[uid])

    def _collect_garbage(self) -> None:
        """Remove what was made for an owner that had gone by then, as a cluster does."""
        found = {
            Key(group, plural, self._namespace, o["metadata"]["name"]): o["metadata"]
            for group, plural in _OWNERS
            for o in self._find(group, plural)
        }
        alive = {metadata["uid"] for metadata in found.values()}
        for key, metadata in found.items():
            owners = {o["uid"] for o in metadata.get("ownerReferences") or []}
            if owners and not owners & alive:
                with suppress(Refused):  # its owner was found dead in this round as well
                    self._server.store.delete(key)

    def _begin(self, job: Json, folder: Path) -> _Running:
        self.started.append(job)
        template, name = job["spec"]["template"], f"{job['metadata']['name']}-0"
        container = template["spec"]["containers"][0]
        given = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
        output = folder / job["metadata"]["uid"]
        command = [*container["command"], *container.get("args", [])]
        process = self._start(command, {**self._environment, **given}, output)
        owner = {k: job["metadata"][k] for k in ("name", "uid")}
        labels = template.get("metadata", {}).get("labels", {})
        meta = {
            "name": name,
            "labels": {**labels, "job-name": job["metadata"]["name"]},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", **owner}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        self._server.store.create(Key("", "pods", self._namespace), pod)
        status = {"status": {"phase": "Running"}}
        self._server.store.patch(Key("", "pods", self._namespace, name), status, part="status")
        return _Running(job, name, process, output)

    def _follow(self, running: _Running) -> None:
        code = running.process.poll()
        if running.output.exists():
            self._server.logs[self._namespace, running.pod] = running.output.read_text()
        if code is None:
            return
        end = ("Complete", "", "") if code == 0 else _FAILED
        self._tell_end(running, code)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = dict(zip(("type", "reason", "message"), end, strict=True)) | {
            "status": "True",
            "lastTransitionTime": now,
        }
        key = Key("batch", "jobs", self._namespace, running.job["metadata"]["name"])
        with suppress(Refused):  # it was deleted just now
            self._server.store.patch(key, {"status": {"conditions": [condition]}}, part="status")

    def _tell_end(self, running: _Running, code: int) -> None:
        """What a kubelet says of a container that ended."""
        container = running.job["spec"]["template"]["spec"]["containers"][0]
        reason = "Completed" if code == 0 else "OOMKilled" if code == 137 else "Error"
        state = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": reason}},
        }
        key = Key("", "pods", self._namespace, running.pod)
        with suppress(Refused):
            self._server.store.patch(key, {"status": {"containerStatuses": [state]}}, part="status")

    def _find(self, group: str, plural: str) -> list[Json]:
        return self._server.store.find(Key(group, plural, self._namespace))[0]


# What is owned stands before its owner: whatever is seen had one that is looked for later.
_OWNERS = (
    ("batch", "jobs"),
    ("kubeflow.org", "trials"),
    ("kubeflow.org", "suggestions"),
    ("kubeflow.org", "experiments"),
)
_FAILED = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
