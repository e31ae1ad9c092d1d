"""What the page refuses, and what its answers tell a browser to refuse."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

COOKIE = "kontinual-flights"
LOOP = "/loops/flights"


def form_of(answer: httpx.Response) -> str:
    found = re.search(r'name="form" value="([0-9a-f]+)"', answer.text)
    assert found is not None, answer.text
    return found.group(1)


def sign_in(client: httpx.Client, token: str) -> httpx.Response:
    form = form_of(client.get("/sign-in"))
    return client.post("/sign-in", data={"token": token, "form": form})


@pytest.fixture
def ada(http: httpx.Client) -> httpx.Client:
    assert sign_in(http, "ada-token").status_code == 303
    return http


def test_nobody_reads_without_a_token(http: httpx.Client) -> None:
    for path in ("/", LOOP):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert http.get(f"{LOOP}/live").status_code == 403
    wrong = sign_in(http, "ada-tokem")
    assert wrong.status_code == 401
    assert "Nobody here has this token" in wrong.text
    assert http.get(LOOP).status_code == 303


def test_who_may_only_read_can_neither_ask_nor_do(http: httpx.Client, world: Any) -> None:
    sign_in(http, "visitor-token")
    page = http.get(LOOP)
    assert page.status_code == 200
    assert http.get(f"{LOOP}/pause").status_code == 403
    answer = http.post(f"{LOOP}/pause", data={"reason": "x", "form": form_of(page)})
    assert answer.status_code == 403
    assert world.ledger.state().paused is None


def no_token(_form: str, _other: str) -> tuple[dict[str, str], dict[str, str]]:
    return {}, {}


def made_up_token(_form: str, _other: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"form": "ü" * 64}, {}


def token_of_another(_form: str, other: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"form": other}, {}


def from_another_site(form: str, _other: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"form": form}, {"Origin": "https://evil.example"}


def from_nowhere(form: str, _other: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"form": form}, {"Origin": "null"}


@pytest.mark.parametrize(
    "forge", [no_token, made_up_token, token_of_another, from_another_site, from_nowhere]
)
def test_a_forged_form_does_nothing(
    ada: httpx.Client, world: Any, forge: Callable[[str, str], Any]
) -> None:
    with httpx.Client(base_url=world.url) as other:
        sign_in(other, "ada-token")
        others = form_of(other.get(f"{LOOP}/pause"))
    fields, headers = forge(form_of(ada.get(f"{LOOP}/pause")), others)
    answer = ada.post(f"{LOOP}/pause", data={"reason": "x", **fields}, headers=headers)
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text
    assert world.ledger.state().paused is None


def test_a_form_of_the_page_itself_does_what_it_says(ada: httpx.Client, world: Any) -> None:
    form, own = form_of(ada.get(f"{LOOP}/roll-back?of=2")), {"Origin": world.url}
    data = {"reason": "version 4 is odd", "form": form}
    answer = ada.post(f"{LOOP}/roll-back?of=2", data=data, headers=own)
    assert answer.status_code == 303
    asked = world.ledger.triggers()[-1]
    assert (asked.wish.kind, asked.wish.version, asked.by) == ("rollback", "2", "ada")
    world.control.withdraw(asked.id, "ada", "it was a test")


def test_what_is_paused_can_be_resumed_and_be_asked_to_stop_more(
    ada: httpx.Client, world: Any
) -> None:
    world.control.pause("ben", "a holiday")
    try:
        page = ada.get(LOOP).text
        assert all(f'id="do-{act}"' in page for act in ("resume", "pause"))
        assert "Stop the run in progress too" in ada.get(f"{LOOP}/pause").text
    finally:
        world.control.resume("ben", "back")


@pytest.mark.parametrize(
    ("reason", "says"), [("  ", "at least 1 character"), ("é" * 1001, "at most 1000 characters")]
)
def test_an_act_without_a_proper_reason_is_asked_again(
    ada: httpx.Client, world: Any, reason: str, says: str
) -> None:
    data = {"reason": reason, "form": form_of(ada.get(f"{LOOP}/pause"))}
    answer = ada.post(f"{LOOP}/pause", data=data)
    assert answer.status_code == 422
    assert says in answer.text
    assert reason.strip() in answer.text
    assert world.ledger.state().paused is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/approve?of=1", 409),  # decided already
        ("/approve?of=4711", 404),
        ("/approve", 404),
        ("/stop?of=no-such-run", 404),
        ("/explode", 404),
        ("?period=aeon", 404),
        ("?before=x", 422),
    ],
)
def test_what_is_not_there_is_told_on_a_page(ada: httpx.Client, path: str, status: int) -> None:
    answer = ada.get(f"{LOOP}{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "To the loop" in answer.text


@pytest.mark.parametrize("path", ["/", "/sign-in", LOOP, f"{LOOP}/live", f"{LOOP}/nothing"])
def test_every_answer_forbids_frames_foreign_code_and_caches(ada: httpx.Client, path: str) -> None:
    headers = ada.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_the_page_holds_no_code_and_no_style_of_its_own(ada: httpx.Client) -> None:
    text = ada.get(LOOP).text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text) == []


def test_the_session_is_out_of_reach_of_scripts_and_other_sites(world: Any) -> None:
    with TestClient(world.app("http://127.0.0.1:9"), base_url="https://testserver") as client:
        answer = sign_in(client, "ada-token")
        cookie = client.get("/sign-in").request.headers["cookie"]
    told = client.cookies.jar
    assert [c.name for c in told] == [f"__Host-{COOKIE}"]
    assert "ada-token" not in cookie
    assert answer.status_code == 200  # the client has followed to the loop
    for flag in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert flag in answer.history[0].headers["set-cookie"]


def test_without_prometheus_the_page_stands_and_says_what_is_missing(world: Any) -> None:
    with TestClient(world.app("http://127.0.0.1:9")) as client:
        answer = client.get(LOOP, headers={"Authorization": "Bearer visitor-token"})
    assert answer.status_code == 200
    assert "Prometheus at http://127.0.0.1:9 can not be reached" in answer.text
    assert "log loss of the canary rose by 0.083" in answer.text


def test_what_has_not_changed_is_not_sent_again(ada: httpx.Client) -> None:
    first = ada.get(f"{LOOP}/live")
    again = ada.get(f"{LOOP}/live", headers={"If-None-Match": first.headers["etag"]})
    if again.status_code != 304:  # figures were read anew between the two
        tag = again.headers["etag"]
        again = ada.get(f"{LOOP}/live", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_ledger_of_several_loops_lists_them(ada: httpx.Client) -> None:
    text = ada.get("/").text
    assert f'<a href="{LOOP}">flights</a>' in text
    assert "fraud" in text


def test_signing_out_ends_it(ada: httpx.Client) -> None:
    answer = ada.post("/sign-out", data={"form": form_of(ada.get(LOOP))})
    assert answer.status_code == 303
    assert ada.get(LOOP).headers["location"] == "/sign-in"
