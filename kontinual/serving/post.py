"""POST to one address over a kept connection.

Python's own client and not httpx: megabytes go to the socket from where they are, while
httpx copies them several times, which cost a third of the request log.
"""

from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from kontinual.errors import ServiceError

__all__ = ["Body", "Connection", "Post"]

Body = Sequence[bytes | memoryview]
"""The pieces of a body, in order."""

Post = Callable[[Body], tuple[int, str]]
"""Sends a body; returns the HTTP status and, if it is no success, the start of the answer.

Raises OSError or HTTPException when there is no answer.
"""

_CLASSES = {"http": HTTPConnection, "https": HTTPSConnection}
_TOLD = 300  # characters of an answer


class Connection:
    """A `Post` to one URL, for one thread; it connects anew after whatever went wrong."""

    def __init__(self, url: str, *, content_type: str, timeout_seconds: float) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: http or https.
            content_type: of all bodies.
            timeout_seconds: of each step: connecting, sending, waiting for the answer.

        Raises:
            ServiceError: the URL is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in _CLASSES or not parts.hostname:
            raise ServiceError(f"a URL such as http://collector:8080 is needed, but got {url!r}")
        self._path = parts.path or "/"
        self._headers = {"content-type": content_type}
        self._connection = _CLASSES[parts.scheme](
            parts.hostname, parts.port, timeout=timeout_seconds
        )

    def __call__(self, body: Body) -> tuple[int, str]:
        headers = {**self._headers, "content-length": str(sum(map(len, body)))}
        try:
            self._connection.request("POST", self._path, body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            raise
        if answer.status < 300:
            return answer.status, ""
        return answer.status, content.decode("utf-8", "replace")[:_TOLD]

    def close(self) -> None:
        """Let go of the connection; the next call would make another."""
        self._connection.close()
