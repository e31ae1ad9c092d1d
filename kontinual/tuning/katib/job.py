"""The Job of a trial: one restricted pod on the image that trains."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kubernetes.client import (
    ApiClient,
    V1Capabilities,
    V1Container,
    V1EmptyDirVolumeSource,
    V1EnvFromSource,
    V1EnvVar,
    V1Job,
    V1JobSpec,
    V1ObjectMeta,
    V1PodSecurityContext,
    V1PodSpec,
    V1PodTemplateSpec,
    V1ResourceRequirements,
    V1SeccompProfile,
    V1SecretEnvSource,
    V1SecurityContext,
    V1Toleration,
    V1Volume,
    V1VolumeMount,
)

from kontinual.errors import SpecError
from kontinual.settings import OBJECT_STORE_SECRET, STORE_VARIABLES, Settings
from kontinual.spec import Loop
from kontinual.spec.katib import TrialJob
from kontinual.tuning.assignments import encode

__all__ = ["CONTAINER", "TRIAL_NAME", "Task", "trial_job"]

CONTAINER = "trial"
TRIAL_NAME = "trialName"
_USER = 65532  # of our images
_TMP = "/tmp"  # noqa: S108  the pod's own, on a root file system that is read-only
_NO_MESH = {"sidecar.istio.io/inject": "false"}  # a sidecar would keep the Job from ending


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all trials of a search share.

    Attributes:
        loop_url: where a trial reads the declaration.
        run_id: the run they belong to.
        span: number of the newest span to train on.
        seed: of every trial.
        image: that trials run in.
        environment: variables that tell where the lake and MLflow are.
    """

    loop_url: str
    run_id: str
    span: int
    seed: int
    image: str
    environment: Mapping[str, str]

    @classmethod
    def of(
        cls, loop: Loop, settings: Settings, *, url: str, run_id: str, span: int, seed: int
    ) -> "Task":
        """The task of a run, by the settings of this process.

        Raises:
            SpecError: no image is named, or a URL holds a password, which all could read who
                may see the Experiment.
        """
        environment = {
            "KONTINUAL_LAKE": settings.lake_url,
            "KONTINUAL_TRACKING": settings.tracking_uri,
            **{name: os.environ[name] for name in STORE_VARIABLES if name in os.environ},
        }
        for name, value in {"loop": url, **environment}.items():
            _check_no_password(name, value)
        return cls(
            loop_url=url,
            run_id=run_id,
            span=span,
            seed=seed,
            image=_image(loop, settings),
            environment=environment,
        )


def trial_job(
    task: Task,
    job: TrialJob,
    parameters: Sequence[str],
    *,
    in_steps: bool,
    deadline_seconds: int,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """The batch/v1 Job of a trial, with `${trialParameters.…}` where Katib puts values.

    Args:
        task: what is common to all trials.
        job: the pod's resources and place.
        parameters: names of the Experiment's parameters.
        in_steps: report fits on parts of the rows, too.
        deadline_seconds: after which the cluster ends it.
        labels: of the pod.
    """
    spec = V1JobSpec(
        # Another attempt with the same parameters and seed would end the same.
        backoff_limit=0,
        active_deadline_seconds=deadline_seconds,
        template=V1PodTemplateSpec(
            metadata=V1ObjectMeta(annotations=_NO_MESH, labels={**_NO_MESH, **labels}),
            spec=_pod(task, job, _arguments(task, parameters, in_steps=in_steps)),
        ),
    )
    body = V1Job(api_version="batch/v1", kind="Job", spec=spec)
    # As plain JSON: Katib takes any kind of object here, and so does its model.
    rendered: dict[str, Any] = ApiClient().sanitize_for_serialization(body)
    return rendered


def _arguments(task: Task, parameters: Sequence[str], *, in_steps: bool) -> list[str]:
    return [
        "--loop",
        encode(task.loop_url),
        "--run-id",
        encode(task.run_id),
        "--span",
        str(task.span),
        "--seed",
        str(task.seed),
        "--name",
        f"${{trialParameters.{TRIAL_NAME}}}",
        *(["--in-steps"] if in_steps else []),
        *(part for name in parameters for part in ("--set", f"{name}=${{trialParameters.{name}}}")),
    ]


def _pod(task: Task, job: TrialJob, arguments: list[str]) -> V1PodSpec:
    return V1PodSpec(
        restart_policy="Never",
        service_account_name=job.service_account,
        # Nothing in a trial speaks to the cluster, unless it was given an identity for its store.
        automount_service_account_token=job.service_account is not None,
        node_selector=job.node_selector or None,
        tolerations=[V1Toleration(**t.model_dump()) for t in job.tolerations] or None,
        # The user is named for Katib's metrics collector as well, whose image has root.
        security_context=V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=_USER,
            run_as_group=_USER,
            seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
        ),
        containers=[_container(task, job, arguments)],
        volumes=[V1Volume(name="tmp", empty_dir=V1EmptyDirVolumeSource())],
    )


def _container(task: Task, job: TrialJob, arguments: list[str]) -> V1Container:
    environment = {**task.environment, "HOME": _TMP, "PYTHONUNBUFFERED": "1"}
    return V1Container(
        name=CONTAINER,
        image=task.image,
        # Named in full: without it Katib's webhook has to ask the registry for the entry point.
        command=["python", "-m", "kontinual.tuning.trial"],
        args=arguments,
        env=[V1EnvVar(name=name, value=value) for name, value in environment.items()],
        env_from=[_secret(OBJECT_STORE_SECRET, optional=True), *map(_secret, job.secrets)],
        resources=V1ResourceRequirements(requests=job.requests, limits=job.limits),
        security_context=V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=V1Capabilities(drop=["ALL"]),
        ),
        volume_mounts=[V1VolumeMount(name="tmp", mount_path=_TMP)],
        # For what ends before the trial itself can say why.
        termination_message_policy="FallbackToLogsOnError",
    )


def _secret(name: str, *, optional: bool | None = None) -> V1EnvFromSource:
    return V1EnvFromSource(secret_ref=V1SecretEnvSource(name=name, optional=optional))


def _image(loop: Loop, settings: Settings) -> str:
    own = sorted({t.image for t in loop.training.trainers if t.image})
    if len(own) > 1:
        raise SpecError(
            f"training.trainers: the trials of one search share one image, but got {own}; "
            "build one that holds all trainers"
        )
    image = own[0] if own else settings.train_image
    if not image:
        raise SpecError("KONTINUAL_TRAIN_IMAGE: Katib's trials need the name of the train image")
    return image


def _check_no_password(name: str, url: str) -> None:
    if urlsplit(url).password is not None:
        raise SpecError(
            f"{name}: a URL with a password would stand in every trial's Job; put the "
            "credentials into a Secret and name it in training.tuning.katib.job.secrets"
        )
