"""How many bytes a request may bring: looked at before a body is read, and while it is."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

__all__ = ["announces_more", "limited"]

_DIGITS = 20  # of a length; more are too many bytes anyhow, and Python reads no 5,000 of them


def announces_more(headers: Headers, most: int) -> bool:
    """Does a request say of itself that its body has more bytes?"""
    length = headers.get("content-length", "").lstrip("0")
    return length.isdecimal() and (len(length) > _DIGITS or int(length) > most)


def limited(receive: Receive, most: int, *, told: str) -> Receive:
    """The body, given up as soon as it grows too long, whatever its header says.

    Args:
        receive: ASGI's.
        most: bytes.
        told: with 413, when there are more.
    """
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, told)
        return message

    return counting
