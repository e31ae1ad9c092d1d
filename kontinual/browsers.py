"""What a browser may be made to ask a service by a page of somebody else.

A person who works at the machine of a loop visits other sites too. A script of theirs reaches
127.0.0.1 by way of the browser: it can post what needs no permission of ours, and, under a
name of its own that it lets point to 127.0.0.1 meanwhile (DNS rebinding), read the answers.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "comes_from_another_site", "host_of"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SAFE = {"GET", "HEAD", "OPTIONS"}


def comes_from_another_site(method: str, headers: Mapping[str, str]) -> bool:
    """Does a page of another origin ask for a change? Programs send neither of the headers.

    Args:
        method: of HTTP.
        headers: of the request, their names in lower case.
    """
    if method in _SAFE:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def host_of(header: str | None) -> str:
    """The name or address in a header `Host`, without its port; empty if it tells none."""
    if not header or set(header) & set("@/?#"):
        return ""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
