"""What every request passes before it is handled: is it meant for us, and not too long?"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kontinual.bodies import announces_more, limited
from kontinual.browsers import comes_from_another_site, host_of

__all__ = ["BODY_LIMIT", "Door"]

BODY_LIMIT = 16 * 1024 * 1024


class Door:
    """ASGI middleware: 403 and 413 are answered here."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = ()) -> None:
        """Put a door before an application.

        Args:
            app: what is behind it.
            hosts: names and addresses by which it may be called; empty: any.
        """
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, limited(receive, BODY_LIMIT, told=_too_long()), send)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        if self._hosts and host_of(headers.get("host")) not in self._hosts:
            told = f"the header Host is one of {', '.join(sorted(self._hosts))} here"
            return JSONResponse({"detail": told}, status_code=403)
        if comes_from_another_site(method, headers):
            told = "a page of another site may not write here"
            return JSONResponse({"detail": told}, status_code=403)
        if announces_more(headers, BODY_LIMIT):
            return JSONResponse({"detail": _too_long()}, status_code=413)
        return None


def _too_long() -> str:
    return f"a body has at most {BODY_LIMIT} bytes; send smaller batches"
