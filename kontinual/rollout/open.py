"""Which gateway, and where a rollout's state is, by the settings alone."""

from collections.abc import Callable

from kontinual.rollout.envoy import EnvoyGateway
from kontinual.rollout.gateway import Gateway, Predictors
from kontinual.rollout.state import FolderStore, RolloutStore
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = ["open_rollout", "open_store"]


def open_rollout(
    loop: Loop, settings: Settings, *, predictors: Callable[[Settings], Predictors]
) -> tuple[Gateway, RolloutStore]:
    """The gateway that splits a loop's traffic, and the store of its rollouts.

    Args:
        loop: the declaration.
        settings: `gateway` chooses: `envoy` on this machine, or `kserve` on a cluster.
        predictors: starts them on this machine; not called where KServe does so.

    Raises:
        KontinualError: the cluster can not be reached, or a setting that it needs is missing.
    """
    if settings.gateway == "kserve":
        # A laptop needs no client of Kubernetes.
        from kontinual.rollout.kserve import open_on_cluster

        return open_on_cluster(loop, settings)
    return EnvoyGateway.of(settings, predictors(settings)), open_store(loop, settings)


def open_store(loop: Loop, settings: Settings) -> RolloutStore:
    """The store alone, for who only looks."""
    if settings.gateway == "kserve":
        from kontinual.rollout.kserve import open_cluster_store

        return open_cluster_store(loop)
    return FolderStore.of(settings, loop.name)
