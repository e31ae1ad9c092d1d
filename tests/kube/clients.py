"""Clients for tests: one whose process can be killed, and one that needs no network."""

import json
import math
from dataclasses import dataclass
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

from tests.kube.endpoint import Endpoint

__all__ = ["DirectClient", "Killed", "MortalClient"]


class Killed(BaseException):
    """The process is gone, as by SIGKILL: nothing of it runs any more."""


class MortalClient(ApiClient):  # type: ignore[misc]
    """A client whose process may die before or after any request that changes something.

    Once it is dead, whatever is still tried on its behalf dies as well.
    """

    def __init__(self, configuration: Configuration, *, fuse: int) -> None:
        super().__init__(configuration)
        self.left = fuse if fuse > 0 else math.inf

    def request(self, method: str, url: str, **options: Any) -> Any:
        step = 0 if method == "GET" else 1
        self._burn(step)
        answer = self.send(method, url, **options)
        self._burn(step)
        return answer

    def send(self, method: str, url: str, **options: Any) -> Any:
        return super().request(method, url, **options)

    def _burn(self, step: int) -> None:
        self.left -= step
        if self.left <= 0:
            raise Killed


@dataclass
class _Answer:
    """As the library reads one."""

    status: int
    reason: str
    data: bytes

    def getheaders(self) -> dict[str, str]:
        return {"Content-Type": "application/json"}


class DirectClient(MortalClient):
    """Asks the endpoint without HTTP."""

    def __init__(self, configuration: Configuration, *, fuse: int, endpoint: Endpoint) -> None:
        super().__init__(configuration, fuse=fuse)
        self._endpoint = endpoint

    def send(self, method: str, url: str, **options: Any) -> Any:
        query = {name: str(value) for name, value in options.get("query_params") or []}
        body = options.get("body") or {}
        path = urlsplit(url).path
        status, content = self._endpoint.answer(method, path, query, body)
        if status == 0:
            broken = RemoteDisconnected("Remote end closed connection without response")
            raise ProtocolError("Connection aborted.", broken)
        text = content if isinstance(content, str) else json.dumps(content)
        answer = _Answer(status, str(content.get("reason", "")), text.encode())
        if status >= 400:
            raise ApiException(http_resp=answer)
        return answer
