"""What every answer of the page has in common: templates, headers, and errors in HTML."""

import hashlib
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from kontinual.errors import LedgerError
from kontinual.spec import utc_text
from kontinual.trigger.contracts import NotNow, NotThere

__all__ = ["SECURITY", "STATIC", "PageRoute", "html", "render", "static_file"]

log = logging.getLogger(__name__)
STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FRESH = {"Cache-Control": "no-store"}
_TITLES = {
    400: "This can not be read",
    403: "Not allowed",
    404: "There is nothing here",
    409: "Not possible now",
    413: "Too long",
    422: "Something is missing",
    503: "The ledger does not answer",
}


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """A static file with the digest that its address carries."""
    content = (files(__package__) / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


def _when(moment: datetime | str) -> Markup:
    """A moment for people, in UTC, with the exact one for machines."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    at = at.astimezone(UTC)
    shown = f"{at.day} {at:%b %Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}">{}</time>').format(utc_text(at), shown)


def _duration(seconds: float) -> str:
    """A length of time in the two units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _figure(value: float | None) -> str:
    """A number to four digits; whole ones as they are."""
    if value is None:
        return "no data"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.4g}"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"when": _when, "duration": _duration, "figure": _figure}
    found.globals["static"] = lambda name: f"/static/{static_file(name)[1]}/{name}"
    return found


def render(template: str, **values: Any) -> str:
    """A template with its values, every one of them escaped."""
    text: str = _environment().get_template(f"{template}.html.j2").render(values)
    return text


def html(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer that nobody may keep."""
    return HTMLResponse(render(template, **values), status_code=status, headers=FRESH)


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose every answer has the security headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await handle(request)
            except (LedgerError, HTTPException, RequestValidationError) as error:
                response = _refusal(error)
            response.headers.update(SECURITY)
            return response

        return handler


def _refusal(error: LedgerError | HTTPException | RequestValidationError) -> Response:
    if isinstance(error, HTTPException):
        status, told = error.status_code, str(error.detail)
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        status, told = 422, f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"
    else:
        status = 404 if isinstance(error, NotThere) else 409 if isinstance(error, NotNow) else 503
        told = str(error)
        if status == 503:
            log.error("a page could not be shown: %s", error)
    title = _TITLES.get(status, "This did not work")
    return html("message", status=status, title=title, text=told)
