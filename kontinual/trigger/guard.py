"""What every request passes before it is handled: who asks, may they, and is it too long?"""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kontinual.bodies import announces_more, limited
from kontinual.browsers import comes_from_another_site, host_of
from kontinual.trigger.auth import Doorkeeper, Identity
from kontinual.trigger.auth import Scope as Right

__all__ = [
    "API",
    "MAX_BODY_BYTES",
    "MAX_DELIVERY_BYTES",
    "Guard",
    "identity_of",
    "longest_body",
    "right_for",
]

API = "/api/"
ALERTS = "/api/v1/alerts"
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DELIVERY_BYTES = 32 * 1024 * 1024
"""Of alerts: 10,000 of them, which Alertmanager is told to send at most, are about 10 MiB."""


def right_for(method: str, path: str) -> Right | None:
    """The scope that a request needs; None where everybody may ask (health, metrics)."""
    if not path.startswith(API):
        return None
    if method in {"GET", "HEAD", "OPTIONS"}:
        return Right.READ
    return Right.ALERT if path == ALERTS else Right.WRITE


def longest_body(path: str) -> int:
    """How many bytes a request may bring."""
    return MAX_DELIVERY_BYTES if path == ALERTS else MAX_BODY_BYTES


def identity_of(request: Request) -> Identity:
    """Who asks, as the guard found out."""
    found: Identity = request.state.identity
    return found


class Guard:
    """ASGI middleware: 401, 403 and 413 are answered here, before a body is read or parsed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        doorkeeper: Doorkeeper,
        count_refusal: Callable[[int], None],
    ) -> None:
        self._app = app
        self._doorkeeper = doorkeeper
        self._count_refusal = count_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        certificate = state.get("certificate")
        identity = self._doorkeeper.identify(
            headers.get("authorization"), certificate, host=host_of(headers.get("host"))
        )
        state["identity"] = identity
        right, most = right_for(scope["method"], scope["path"]), longest_body(scope["path"])
        refusal = self._refusal(right, most, headers, identity)
        # The page's own forms are told from others by a token (and in HTML).
        if right is not None and comes_from_another_site(scope["method"], headers):
            refusal = _answer(403, "a page of another site may not write here")
        if refusal is not None:
            await refusal(scope, receive, self._counted(send))
            return
        body = limited(receive, most, told=_too_long(most))
        await self._app(scope, body, self._counted(send))

    def _refusal(
        self, right: Right | None, most: int, headers: Headers, identity: Identity
    ) -> JSONResponse | None:
        if right is not None and not identity.may(right):
            if identity.known:
                told = f"{identity.name} has not the scope `{right}` that this needs"
                return _answer(403, told)
            told = f"a bearer token or client certificate with the scope `{right}` is needed"
            return _answer(401, told, {"WWW-Authenticate": "Bearer"})
        if announces_more(headers, most):
            return _answer(413, _too_long(most))
        return None

    def _counted(self, send: Send) -> Send:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and 400 <= message["status"] < 500:
                self._count_refusal(message["status"])
            await send(message)

        return counted


def _too_long(most: int) -> str:
    return f"a body may have {most} bytes at most"


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "problems": []}, status_code=status, headers=headers)
