"""The service answers whatever its OpenAPI document allows as the document says, and never 5xx."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kontinual.spec import Loop
from kontinual.trigger.guard import MAX_DELIVERY_BYTES
from tests.faults.doomed import TOKEN
from tests.faults.siege import Life, Siege, wait_until
from tests.integration.trigger.conftest import free_port

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
fuzzed = settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the real service is, whose runs are small processes."""
    folder, port = tmp_path_factory.mktemp("openapi"), free_port()
    siege = Siege(loop, folder, f"sqlite:///{folder}/ledger.db", [port])
    life = Life(siege.place, port, None, float("inf"))
    try:
        wait_until(lambda: siege.fire() or not siege.waiting, "it serves")
        yield f"http://127.0.0.1:{port}"
    finally:
        life.kill()
        siege.close()


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, {}], ids=["known", "-"])
def test_whatever_comes_is_answered_as_documented(url: str, headers: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    paths = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        paths.add(operation.path)

        @fuzzed
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers=headers)

        answers()
    assert {"/api/v1/alerts", "/api/v1/triggers", "/api/v1/pause", "/healthz"} <= paths


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ({"Authorization": "Bearer wrong"}, b"{}", 401, "unauthenticated"),
        ({"Authorization": f"Bearer {TOKEN}"}, b"{", 422, "malformed"),
        ({"Authorization": f"Bearer {TOKEN}"}, b"\xff\xfe", 422, "malformed"),
        ({"Authorization": f"Bearer {TOKEN}"}, b" " * (MAX_DELIVERY_BYTES + 1), 413, "too_large"),
    ],
    ids=["token", "json", "bytes", "size"],
)
def test_what_is_refused_is_counted(
    url: str, headers: dict[str, str], body: bytes, status: int, reason: str
) -> None:
    before = refused(url, reason)
    headers = {"Content-Type": "application/json", **headers}
    answer = httpx.post(f"{url}/api/v1/alerts", content=body, headers=headers, timeout=30)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert refused(url, reason) == before + 1


def refused(url: str, reason: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    found = [x for x in lines if x.startswith("kontinual_trigger_refused_total")]
    (line,) = [x for x in found if f'reason="{reason}"' in x]
    return float(line.split()[-1])
