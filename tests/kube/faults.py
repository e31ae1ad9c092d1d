"""What can go wrong between a client and the API server."""

import re
from dataclasses import dataclass

__all__ = ["Fault"]


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
