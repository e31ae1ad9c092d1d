"""A Lease: who of several processes, on several machines, may act.

Clocks of two machines are never compared. A holder renews and trusts its own clock; who
wants the Lease watches it by a clock of its own, and takes it over only after it has not
been renewed for its whole duration. A holder that could not renew stops well before that.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi

from kontinual.cluster.client import cluster_errors
from kontinual.cluster.patience import is_passing, patiently
from kontinual.errors import ClusterError

__all__ = ["Lease", "LeaseBusy", "LeaseLost"]

LEASE_SECONDS = 60
POLL_SECONDS = 2.0
_LEASES = ("coordination.k8s.io", "v1")
_WRITE_TIMEOUT = (5, 10)
Json = dict[str, Any]


class LeaseBusy(ClusterError):
    """Another process holds the Lease, and lives."""


class LeaseLost(ClusterError):
    """This process held the Lease and may hold it no longer; it must not write."""


class Lease:
    """One named Lease of a namespace, taken by at most one process at a time."""

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        *,
        seconds: int = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Name a Lease; nothing is taken yet.

        Args:
            client: of the cluster.
            namespace: where the Lease is.
            name: of the Lease.
            seconds: unrenewed for so long it may be taken over; a writer stops at two thirds.
            clock: seconds that only rise.
            sleep: waits between two looks at another's Lease.
        """
        self._api = CustomObjectsApi(client)
        self._where = (*_LEASES, namespace, "leases")
        self._title = f"Lease {namespace}/{name}"
        self._name, self._seconds = name, seconds
        self._clock, self._sleep = clock, sleep
        self._mine: Json | None = None
        self._renewed = 0.0
        self._guard = threading.Lock()
        self.identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"

    @contextmanager
    def hold(self, *, timeout: float = 0.0) -> Iterator[None]:
        """Hold the Lease, renewing it in the background; give it back at the end.

        A Lease of a process that was killed is taken over once it has stood still for its
        whole duration, so this may wait that long, whatever the timeout.

        Args:
            timeout: seconds to wait for a holder that lives.

        Raises:
            LeaseBusy: the holder renewed it while this process watched.
        """
        self._acquire(timeout)
        stop = threading.Event()
        renewer = threading.Thread(target=self._renew_until, args=(stop,), daemon=True)
        renewer.start()
        try:
            yield
        finally:
            stop.set()
            renewer.join()
            self._release()

    def check(self) -> None:
        """Go on only if the Lease is held now, and for long enough to finish a request.

        Raises:
            LeaseLost: it is not, or this can not be known.
        """
        with self._guard:
            mine, idle = self._mine, self._clock() - self._renewed
        if mine is None:
            raise LeaseLost(f"{self._title} is not held by this process; it may not write")
        if idle > self._seconds * 2 / 3:
            raise LeaseLost(
                f"{self._title} could not be renewed for {idle:.0f} s; another process may hold it"
            )

    def holder(self) -> str | None:
        """Who seems to hold it now, by the clocks of two machines; None if nobody does."""
        found = self._read()
        if found is None or not found["spec"].get("holderIdentity"):
            return None
        renewed = datetime.fromisoformat(found["spec"]["renewTime"])
        idle = (datetime.now(UTC) - renewed).total_seconds()
        return str(found["spec"]["holderIdentity"]) if idle < self._seconds else None

    def renew(self) -> None:
        """Renew it once. What the cluster does not answer changes nothing; a refusal loses it."""
        with self._guard:
            mine = self._mine
        if mine is None:
            return
        began = self._clock()
        try:
            renewed = self._put({**mine, "spec": {**mine["spec"], "renewTime": _now()}})
        except ClusterError as exc:
            if exc.status in {404, 409}:
                self._look_again()
            return
        self._keep(renewed, began)

    def _look_again(self) -> None:
        """After a conflict: was it another process, or an own renewal whose answer was lost?"""
        try:
            found = self._read()
        except ClusterError:
            return
        ours = found is not None and found["spec"].get("holderIdentity") == self.identity
        self._keep(found if ours else None)

    def _acquire(self, timeout: float) -> None:
        end = self._clock() + timeout
        seen: tuple[str, float] | None = None
        while True:
            found = self._read()
            version = found["metadata"]["resourceVersion"] if found else ""
            free = found is None or not found["spec"].get("holderIdentity")
            if seen and seen[0] != version and not free and self._clock() >= end:
                raise LeaseBusy(f"{self._title} is held by {found['spec']['holderIdentity']}")  # type: ignore[index]  # free without one
            if seen is None or seen[0] != version:
                seen = (version, self._clock())
            # Our name is there already if only the answer to an earlier try was lost.
            ours = not free and found["spec"]["holderIdentity"] == self.identity  # type: ignore[index]
            if free or ours or self._clock() - seen[1] > self._seconds:
                if self._take(found):
                    return
                seen = None
            self._sleep(POLL_SECONDS)

    def _take(self, found: Json | None) -> bool:
        """Write our name into it; False when another one was quicker."""
        began = self._clock()
        spec = (found or {"spec": {}})["spec"]
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (found is not None),
        }
        try:
            if found is None:
                body = {"apiVersion": "/".join(_LEASES), "kind": "Lease", "spec": spec}
                taken = self._create({**body, "metadata": {"name": self._name}})
            else:
                taken = self._put({**found, "spec": spec})
        except ClusterError as exc:
            if exc.status == 409 or is_passing(exc):
                return False
            raise
        self._keep(taken, began)
        return True

    def _release(self) -> None:
        with self._guard:
            mine, self._mine = self._mine, None
        if mine is None:
            return
        try:
            self._put({**mine, "spec": {**mine["spec"], "holderIdentity": ""}})
        except ClusterError:
            return  # it is free by itself after its duration

    def _renew_until(self, stop: threading.Event) -> None:
        while not stop.wait(self._seconds / 6):
            self.renew()

    def _keep(self, mine: Json | None, began: float | None = None) -> None:
        with self._guard:
            self._mine = mine
            self._renewed = self._renewed if began is None else began

    def _read(self) -> Json | None:
        try:
            found: Json = patiently(
                f"{self._title} can not be read",
                lambda: self._api.get_namespaced_custom_object(*self._where, self._name),
                seconds=self._seconds / 6,
                sleep=self._sleep,
            )
        except ClusterError as exc:
            if exc.status == 404:
                return None
            raise
        return found

    def _create(self, body: Json) -> Json:
        with cluster_errors(f"{self._title} can not be created"):
            made: Json = self._api.create_namespaced_custom_object(
                *self._where, body, _request_timeout=_WRITE_TIMEOUT
            )
        return made

    def _put(self, body: Json) -> Json:
        with cluster_errors(f"{self._title} can not be written"):
            put: Json = self._api.replace_namespaced_custom_object(
                *self._where, self._name, body, _request_timeout=_WRITE_TIMEOUT
            )
        return put


def _now() -> str:
    """As Kubernetes writes a MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
