"""What is read from the state of a trial's pod."""

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodStatus,
)

from kontinual.tuning.katib.status import last_words


def _container(name: str, **state: object) -> V1ContainerStatus:
    return V1ContainerStatus(
        name=name,
        image="train:1",
        image_id="",
        ready=False,
        restart_count=0,
        state=V1ContainerState(**state),
    )


def _ended(name: str, code: int, reason: str, message: str | None = None) -> V1ContainerStatus:
    end = V1ContainerStateTerminated(exit_code=code, reason=reason, message=message)
    return _container(name, terminated=end)


def _pod(*containers: V1ContainerStatus, **status: object) -> V1Pod:
    return V1Pod(
        metadata=V1ObjectMeta(name="t-1-x7", labels={"job-name": "t-1"}),
        status=V1PodStatus(container_statuses=list(containers) or None, **status),
    )


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (_pod(_ended("trial", 137, "OOMKilled")), "OOMKilled, exit code 137"),
        (_pod(_ended("trial", 1, "Error", "no span 3\n")), "Error, exit code 1: no span 3"),
        (
            _pod(reason="Evicted", message="The node was low on resource: memory."),
            "Evicted: The node was low on resource: memory.",
        ),
        (
            _pod(_ended("trial", 137, "Error"), reason="DeadlineExceeded", message="too long"),
            "DeadlineExceeded: too long; Error, exit code 137",
        ),
    ],
)
def test_a_failed_trials_pod_says_why(pod: V1Pod, words: str) -> None:
    assert last_words([pod]) == {"t-1": words}


@pytest.mark.parametrize(
    "pod",
    [
        _pod(),
        _pod(_container("trial", running=V1ContainerStateRunning())),
        _pod(_ended("trial", 0, "Completed")),
        # The collector's own end is nothing that the trial died of.
        _pod(_ended("metrics-logger-and-collector", 1, "Error"), _ended("trial", 0, "Completed")),
    ],
)
def test_a_pod_that_did_not_fail_says_nothing(pod: V1Pod) -> None:
    assert last_words([pod]) == {}


def test_the_samplers_pod_is_no_trials_whatever_becomes_of_it() -> None:
    pod = _pod(reason="Evicted", message="The node was low on resource: memory.")
    pod.metadata.labels = {"katib.kubeflow.org/deployment": "run-1-random"}
    assert last_words([pod]) == {}
