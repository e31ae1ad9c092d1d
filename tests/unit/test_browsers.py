"""What a browser tells of the page that asks, and whom a request calls."""

import pytest

from kontinual.browsers import comes_from_another_site, host_of


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"host": "h:1"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://proxy", "host": "h:1"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "http://h:1", "host": "h:1"}, False),
        ({"origin": "http://h:2", "host": "h:1"}, True),
        ({"origin": "null", "host": "h:1"}, True),
        ({"origin": "http://[", "host": "h:1"}, True),
    ],
)
def test_a_change_that_a_foreign_page_asks_for_is_known(
    headers: dict[str, str], foreign: bool
) -> None:
    assert comes_from_another_site("POST", headers) is foreign
    assert not comes_from_another_site("GET", headers)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("127.0.0.1:8082", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:8082", "::1"),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("a@127.0.0.1:8082.evil.example", ""),
        ("127.0.0.1/evil", ""),
        ("[", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_host_is_told_without_its_port(header: str | None, host: str) -> None:
    assert host_of(header) == host
