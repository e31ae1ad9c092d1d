"""Rollouts on a cluster: KServe splits the traffic, a ConfigMap and a Lease keep the state."""

import time

from kontinual.cluster import Lease, api_client, namespace
from kontinual.rollout.kserve.api import KServeApi
from kontinual.rollout.kserve.gateway import KServeGateway
from kontinual.rollout.kserve.knative import KnativeMode
from kontinual.rollout.kserve.manifest import RUNTIME, VERSION_LABEL, inference_service
from kontinual.rollout.kserve.packages import PackagePlace
from kontinual.rollout.kserve.standard import StandardMode
from kontinual.rollout.kserve.store import ClusterStore, rollout_name
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = [
    "RUNTIME",
    "VERSION_LABEL",
    "ClusterStore",
    "KServeApi",
    "KServeGateway",
    "KnativeMode",
    "PackagePlace",
    "StandardMode",
    "inference_service",
    "open_cluster_store",
    "open_on_cluster",
    "rollout_name",
]


def open_on_cluster(loop: Loop, settings: Settings) -> tuple[KServeGateway, ClusterStore]:
    """The gateway and the store of a loop, in this process's namespace.

    Raises:
        ClusterError: there is no cluster to be found.
        SpecError: the settings do not say where model packages go.
    """
    packages = PackagePlace.of(settings, loop.name)
    store, lease = _store(loop)
    api = KServeApi(api_client(), namespace(), loop.name, check=lease.check)
    return KServeGateway(loop, api, packages, collector=settings.collector), store


def open_cluster_store(loop: Loop) -> ClusterStore:
    """The store alone, for who only looks."""
    return _store(loop)[0]


def _store(loop: Loop) -> tuple[ClusterStore, Lease]:
    client, where = api_client(), namespace()
    lease = Lease(client, where, rollout_name(loop.name))
    return ClusterStore(client, where, loop.name, lease=lease, sleep=time.sleep), lease
