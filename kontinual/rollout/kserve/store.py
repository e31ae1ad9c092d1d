"""A rollout's state in a ConfigMap, its lock a Lease: both outlive the pod that wrote them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from kontinual.cluster import Lease, LeaseBusy, LeaseLost, cluster_errors, is_passing, patiently
from kontinual.errors import ClusterError
from kontinual.rollout.state import RolloutBusy, RolloutState, abort_note, read_state
from kontinual.spec import LOOP_LABEL

__all__ = ["ClusterStore", "rollout_name"]

Json = dict[str, Any]
WRITE_ATTEMPTS = 8
_STATE, _ABORT, _HOLDER = "rollout.json", "abort", "holder"
_WRITE_TIMEOUT = (5, 10)


def rollout_name(loop: str) -> str:
    """Name of the ConfigMap and of the Lease of a loop's rollouts."""
    return f"kontinual-rollout-{loop}"


class ClusterStore:
    """A `RolloutStore` for processes that share nothing but the cluster.

    Who takes the Lease writes its name into the ConfigMap. A former holder that was only
    asleep reads that name when its write conflicts, and stops.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        loop: str,
        *,
        lease: Lease,
        sleep: Callable[[float], None],
    ) -> None:
        """Name the ConfigMap; it need not exist yet.

        Args:
            client: of the cluster.
            namespace: where it is.
            loop: whose rollouts.
            lease: held by who is at work.
            sleep: waits between two tries.
        """
        self._core, self._client = CoreV1Api(client), client
        self._namespace, self._loop, self._name = namespace, loop, rollout_name(loop)
        self._title = f"ConfigMap {namespace}/{self._name}"
        self._lease, self._sleep = lease, sleep
        self._known: Json | None = None  # as it was last read or written

    def load(self) -> RolloutState | None:
        text = self._data(self._read()).get(_STATE)
        return read_state(text, place=self._title) if text else None

    def save(self, state: RolloutState) -> None:
        self._lease.check()
        text = state.model_dump_json()
        self._write(lambda data: {**data, _STATE: text}, mine=True)

    @contextmanager
    def lock(self, *, timeout: float = 0.0) -> Iterator[None]:
        """Hold the Lease. A killed process is waited out, which takes a minute at most."""
        try:
            with self._lease.hold(timeout=timeout):
                self._read()
                self._write(lambda data: {**data, _HOLDER: self._lease.identity}, mine=False)
                yield
        except LeaseBusy as exc:
            raise RolloutBusy(
                f"{exc}: another process is at work on the rollout of {self._loop}; "
                "wait for it, or end it by `kontinual rollout abort`"
            ) from exc

    def busy(self) -> bool:
        return self._lease.holder() is not None

    def ask_to_abort(self, who: str) -> None:
        self._read()
        self._write(lambda data: {**data, _ABORT: abort_note(who)}, mine=False)

    def asked_to_abort(self) -> str | None:
        asked: str | None = self._data(self._read()).get(_ABORT)
        return asked

    def forget_abort(self) -> None:
        if _ABORT in self._data(self._read()):
            self._write(lambda d: {k: v for k, v in d.items() if k != _ABORT}, mine=False)

    def _read(self) -> Json | None:
        try:
            found = patiently(
                f"{self._title} can not be read",
                lambda: self._core.read_namespaced_config_map(self._name, self._namespace),
                sleep=self._sleep,
            )
        except ClusterError as exc:
            if exc.status != 404:
                raise
            self._known = None
            return None
        self._known = self._client.sanitize_for_serialization(found)
        return self._known

    def _write(self, edit: Callable[[dict[str, str]], dict[str, str]], *, mine: bool) -> None:
        """Compare-and-swap; `mine` holds only for who wrote its name last."""
        for _ in range(WRITE_ATTEMPTS):
            known = self._known
            data = self._data(known)
            if mine and data.get(_HOLDER) != self._lease.identity:
                raise LeaseLost(
                    f"{self._title}: {data.get(_HOLDER, 'nobody')} is at work on this rollout now"
                )
            if self._put(known, edit(data)):
                return
            self._sleep(0.5)
            self._read()
        raise ClusterError(f"{self._title} changes so often that it could not be written")

    def _put(self, known: Json | None, data: dict[str, str]) -> bool:
        """Store it; False when it has to be read again."""
        labels = {"app.kubernetes.io/part-of": "kontinual", LOOP_LABEL: self._loop}
        fresh = {"metadata": {"name": self._name, "labels": labels}}
        body = {**(known or fresh), "data": data}
        try:
            with cluster_errors(f"{self._title} can not be written"):
                written = (
                    self._core.replace_namespaced_config_map(
                        self._name, self._namespace, body, _request_timeout=_WRITE_TIMEOUT
                    )
                    if known
                    else self._core.create_namespaced_config_map(
                        self._namespace, body, _request_timeout=_WRITE_TIMEOUT
                    )
                )
        except ClusterError as exc:
            if exc.status in {404, 409} or is_passing(exc):
                return False
            raise
        self._known = self._client.sanitize_for_serialization(written)
        return True

    @staticmethod
    def _data(found: Json | None) -> dict[str, str]:
        return dict((found or {}).get("data") or {})
