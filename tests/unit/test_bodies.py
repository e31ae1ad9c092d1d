"""No service reads a body that does not end, nor stumbles over a length that is none."""

import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message

from kontinual.bodies import announces_more, limited


@pytest.mark.parametrize(
    ("length", "more"),
    [
        (None, False),
        ("10", False),
        ("11", True),
        ("0" * 30 + "10", False),
        ("9" * 5000, True),
        ("-1", False),
        ("1e9", False),
    ],
)
def test_a_length_is_taken_for_what_it_says(length: str | None, more: bool) -> None:
    headers = Headers({} if length is None else {"content-length": length})
    assert announces_more(headers, 10) is more


def test_a_body_is_given_up_at_the_first_byte_too_many() -> None:
    pieces = [b"12345", b"67890", b"1"]

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": True}

    async def read() -> None:
        counting = limited(receive, 10, told="ten at most")
        assert len((await counting())["body"]) == 5
        assert len((await counting())["body"]) == 5
        with pytest.raises(HTTPException, match="ten at most") as refused:
            await counting()
        assert refused.value.status_code == 413

    asyncio.run(read())
