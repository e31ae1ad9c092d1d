"""A small Kubernetes API server for tests: objects of any kind, kept in this process.

What it keeps to, because clients lean on it: resourceVersion and its 409, generation that rises
with the spec alone, status as a subresource, merge patches, label selectors, watches, dry runs,
generated names, owners whose fall takes along what they own. There is no admission, schema or
controller; `admit` lets an imitation of a controller bring its own webhooks.

    with KubeServer() as server:
        client = server.client()
        CustomObjectsApi(client).create_namespaced_custom_object(...)

Faults: `server.fail(...)` answers a request by an error, or drops the connection, before or
after it was carried out. `server.client(fuse=n)` is a client that dies at its n-th request.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any, Self

from kubernetes.client import ApiClient, Configuration
from urllib3 import Retry

from tests.kube.clients import DirectClient, MortalClient
from tests.kube.endpoint import Endpoint
from tests.kube.faults import Fault
from tests.kube.handler import handler_for
from tests.kube.objects import Json, ObjectStore

__all__ = ["KubeServer"]


class KubeServer:
    """Serves an `ObjectStore` by HTTP on a free port of this machine."""

    def __init__(self) -> None:
        self.store = ObjectStore()
        self._endpoint = Endpoint(self.store)
        self.requests, self.logs = self._endpoint.requests, self._endpoint.logs
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(self._endpoint))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def client(self, *, fuse: int = 0, direct: bool = False) -> ApiClient:
        """A client of this server, which the caller closes.

        Args:
            fuse: 2n - 1 dies (`Killed`) before the n-th request that changes something, 2n
                right after it; 0 lives for ever.
            direct: call the server as a function; many times as fast as HTTP, without watches.
        """
        configuration = Configuration(host=self.url)
        configuration.retries = Retry(total=0)
        if direct:
            return DirectClient(configuration, fuse=fuse, endpoint=self._endpoint)
        return MortalClient(configuration, fuse=fuse)

    def kubeconfig(self, *, namespace: str = "default") -> Json:
        """What a kubeconfig file has to hold for this server."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": "test", "namespace": namespace},
                }
            ],
        }

    def fail(self, method: str, path: str, **how: Any) -> None:
        """Let the next requests that match go wrong; see `Fault`."""
        self._endpoint.faults.append(Fault(method=method, path=path, **how))

    @contextmanager
    def admitting(self, admit: Callable[[Json, Json | None], Json]) -> Iterator[None]:
        """Pass every object through a webhook for the while; see `ObjectStore.admit`."""
        self.store.admit.append(admit)
        try:
            yield
        finally:
            self.store.admit.remove(admit)
