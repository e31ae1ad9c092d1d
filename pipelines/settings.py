"""What every task is given beside its parameters: settings, credentials, resources, no cache.

On a cluster they come from a ConfigMap and Secrets of the namespace (see manifests/); on a laptop
the tasks have the environment of the runner. Each key is optional, but Kubeflow Pipelines before
2.15 does not know that word and takes all for required: the ConfigMap of an overlay has every one.
"""

from kfp import dsl, kubernetes

from kontinual.settings import OBJECT_STORE_SECRET, STORE_VARIABLES
from pipelines.resources import STEPS, bounded

__all__ = ["CONFIG_MAP", "OBJECT_STORE", "SETTINGS", "TRIGGER_TOKEN", "configured"]

CONFIG_MAP = "kontinual-settings"
SETTINGS = (
    "KONTINUAL_LAKE",
    "KONTINUAL_TRACKING",
    "KONTINUAL_PROMETHEUS",
    "KONTINUAL_COLLECTOR",
    "KONTINUAL_TRIGGER",
    "KONTINUAL_GATEWAY",
    "KONTINUAL_PACKAGES",
    "KONTINUAL_PACKAGES_URI",
    "KONTINUAL_TUNER",
    "KONTINUAL_TRAIN_IMAGE",
    "KONTINUAL_KFP",
    "KONTINUAL_KFP_UI",
    *STORE_VARIABLES,
)
# Secret → key in it → variable.
OBJECT_STORE = (
    OBJECT_STORE_SECRET,
    {key: key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
)
TRIGGER_TOKEN = ("kontinual-trigger", {"token": "KONTINUAL_TOKEN"})


def configured(task: dsl.PipelineTask, *secrets: tuple[str, dict[str, str]]) -> dsl.PipelineTask:
    """The task with its settings. Its answer is never taken from a cache: it would be stale.

    Args:
        task: of the pipeline.
        secrets: that it needs beside the object store's.
    """
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, {k: k for k in SETTINGS}, optional=True)
    for secret, keys in (OBJECT_STORE, *secrets):
        kubernetes.use_secret_as_env(task, secret, keys, optional=True)
    return bounded(task, STEPS[task.component_spec.name]).set_caching_options(False)
