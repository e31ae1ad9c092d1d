"""The short way of a prediction: two routes before KServe's application.

KServe's own routes spend several times what the prediction itself takes on
routing, timing middleware and histograms of their own. These two read, answer
and count in one step; whatever else is asked (health, metadata, metrics) goes
on to KServe's application.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from kontinual.serving.predictor import Answered, Predictor, instances_of_v1
from kontinual.serving.rows import BadRequest
from kontinual.serving.tensors import BINARY_LENGTH, read_v2

__all__ = ["MAX_BODY_BYTES", "Front"]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 2**20
V2_MODELS = "/v2/models/"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answer = Callable[[bytes, Scope], tuple[bytes, Headers, Answered]]

JSON: Headers = [(b"content-type", b"application/json")]
CLOSE: Headers = [(b"connection", b"close")]


class _ClientGone(Exception):
    """The client left before its request was complete."""


class Front:
    """An ASGI application around KServe's."""

    def __init__(
        self, app: Application, predictor: Predictor, *, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        """Put the routes of a predictor before an application.

        Args:
            app: KServe's.
            predictor: what answers; its version is the only one served.
            max_body_bytes: of any request.
        """
        self._app, self._predictor, self._max_body = app, predictor, max_body_bytes
        name = predictor.name
        self._versions = f"{V2_MODELS}{name}/versions/"
        self._answers: dict[str, Answer] = {
            f"/v1/models/{name}:predict": self._v1,
            f"{V2_MODELS}{name}/infer": self._v2,
        }
        self._closed = {
            f"/v1/models/{name}:explain": "this model gives no explanations",
            f"/v2/repository/models/{name}/load": "a version is loaded by starting its predictor",
            f"/v2/repository/models/{name}/unload": "a version is unloaded by stopping its server",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._versions):
            unversioned = self._unversioned(scope)
            if unversioned is None:
                served = f"this predictor serves version {self._predictor.version} alone"
                await _respond(send, 404, _error(served), [*JSON, *CLOSE])
                return
            scope = unversioned
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        answer = self._answers.get(scope["path"])
        if answer is not None:
            await self._predict(answer, scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _predict(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        journal = self._predictor.journal
        start = time.perf_counter()
        try:
            body = await _read(receive, self._max_body)
            start = time.perf_counter()  # a slow client is not a slow model
            content, headers, (request, matrix, scores) = answer(body, scope)
        except _ClientGone:
            return
        except BadRequest as exc:
            status, (content, headers) = exc.status, _refusal(exc)
            journal.failed(status, time.perf_counter() - start)
        except Exception as exc:  # whatever broke, the next request is answered
            logger.exception("a prediction failed")
            status, content, headers = 500, _error(f"{type(exc).__name__}: {exc}"), JSON
            journal.failed(status, time.perf_counter() - start)
        else:
            status = 200
            journal.answered(request, matrix, scores, time.perf_counter() - start)
        await _respond(send, status, content, headers)

    def _v1(self, body: bytes, scope: Scope) -> tuple[bytes, Headers, Answered]:  # noqa: ARG002
        predictor = self._predictor
        instances = predictor.refusing(_read_v1, body)
        matrix, scores = predictor.answer(instances)
        return orjson.dumps({"predictions": scores}), JSON, (body, matrix, scores)

    def _v2(self, body: bytes, scope: Scope) -> tuple[bytes, Headers, Answered]:
        predictor = self._predictor
        length = dict(scope["headers"]).get(BINARY_LENGTH.encode())
        json_length = None if length is None else length.decode("latin1")
        request = predictor.refusing(
            read_v2,
            body,
            model=predictor.name,
            json_length=json_length,
            max_rows=predictor.max_rows,
            max_tensors=predictor.max_tensors,
        )
        response, answered = predictor.answer_v2(request)
        content, json_size = response.to_rest()
        if json_size is None:
            return orjson.dumps(content), JSON, answered
        binary = [
            (b"content-type", b"application/octet-stream"),
            (BINARY_LENGTH.encode(), str(json_size).encode()),
        ]
        return content, binary, answered

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await _read(receive, self._max_body)
        except _ClientGone:
            return
        except BadRequest as exc:
            await _respond(send, exc.status, *_refusal(exc))
            return
        path = scope["path"]
        if path.startswith(V2_MODELS) and path.endswith("/infer"):
            # KServe reads the whole request before it looks whether there is such a model.
            served = f"this predictor serves model {self._predictor.name} alone"
            await _respond(send, 404, _error(served), JSON)
            return
        reason = self._closed.get(path)
        if reason is not None:
            await _respond(send, 403, _error(reason), JSON)
            return
        await self._app(scope, _replay(body, receive), send)

    def _unversioned(self, scope: Scope) -> Scope | None:
        """The same request without the version, if it names the one that is served."""
        version, _, rest = scope["path"].removeprefix(self._versions).partition("/")
        if version != self._predictor.version:
            return None
        path = self._versions.removesuffix("/versions/") + (f"/{rest}" if rest else "")
        return {**scope, "path": path, "raw_path": path.encode()}


def _read_v1(body: bytes) -> object:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise BadRequest(f"the body is not JSON: {exc}") from exc
    return instances_of_v1(payload)


async def _read(receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        BadRequest: it is larger than the limit.
        _ClientGone: it never became complete.
    """
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body") and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise _ClientGone
    if len(body) > limit:
        raise BadRequest(f"a request may have {limit} bytes; split it", status=413)
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body again, then what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return again


def _refusal(exc: BadRequest) -> tuple[bytes, Headers]:
    # After 413 the rest of the body is never read, so the connection can not go on.
    return _error(exc.reason), [*JSON, *(CLOSE if exc.status == 413 else [])]


def _error(reason: str) -> bytes:
    return orjson.dumps({"error": reason})


async def _respond(send: Send, status: int, content: bytes, headers: Headers) -> None:
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": content})
