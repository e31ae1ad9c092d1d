"""What can go wrong between a client and the API server."""

import math
import re
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient, Configuration

__all__ = ["Fault", "Killed", "MortalClient"]


@dataclass
class Fault:
    """An answer that is not the one that was hoped for.

    Args:
        method: of the requests it meets, such as `PUT`; `*` for any.
        path: pattern that is searched for in their path.
        status: of the answer; 0 drops the connection without one.
        after: carry the request out first: it worked, and the client does not learn of it.
        times: how many requests it meets.
    """

    method: str
    path: str
    status: int = 500
    after: bool = False
    times: int = 1

    def meets(self, method: str, path: str, *, after: bool) -> bool:
        return (
            self.times > 0
            and self.after == after
            and self.method in {"*", method}
            and re.search(self.path, path) is not None
        )


class Killed(BaseException):
    """The process is gone, as by SIGKILL: nothing of it runs any more."""


class MortalClient(ApiClient):  # type: ignore[misc]
    """A client whose process may die before or after any request that changes something.

    Once it is dead, whatever is still tried on its behalf dies as well.
    """

    def __init__(self, configuration: Configuration, *, fuse: int) -> None:
        super().__init__(configuration)
        self.left = fuse if fuse > 0 else math.inf

    def request(self, method: str, *args: Any, **options: Any) -> Any:
        step = 0 if method == "GET" else 1
        self._burn(step)
        answer = super().request(method, *args, **options)
        self._burn(step)
        return answer

    def _burn(self, step: int) -> None:
        self.left -= step
        if self.left <= 0:
            raise Killed
