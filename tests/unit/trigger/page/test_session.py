import time
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.trigger import Credential, Doorkeeper, Identity, Scope
from kontinual.trigger.page.session import LIFETIME, Sessions, session_key

NOBODY = Identity("anybody", frozenset(), known=False)
START = datetime(2026, 1, 1, tzinfo=UTC)


def doorkeeper(**tokens: str) -> Doorkeeper:
    return Doorkeeper(
        [Credential.of_token(t, name=n, scopes=[Scope.WRITE]) for n, t in tokens.items()],
        for_anybody=[Scope.READ],
    )


@cache
def key_of(token: str) -> bytes:
    return session_key(token)


def sessions(known: Doorkeeper, *, key: str = "key", at: datetime = START) -> Sessions:
    return Sessions(known, key_of(key), clock=lambda: at)


def cookie_of_ada(key: str = "key") -> str:
    visit = sessions(doorkeeper(ada="secret"), key=key).sign_in("secret")
    assert visit is not None
    return visit.cookie


def test_who_signs_in_is_known_again_by_name_and_scopes() -> None:
    visit = sessions(doorkeeper(ada="secret")).visit(cookie_of_ada(), NOBODY)
    assert visit.signed_in
    assert visit.identity == Identity("ada", frozenset({Scope.WRITE}))


def test_a_token_is_not_guessed_from_a_cookie_as_fast_as_a_machine_can_hash() -> None:
    began = time.process_time()
    session_key("correct horse")
    assert time.process_time() - began > 0.02, "10,000 times as long as one HMAC, or more"


def test_a_replica_and_a_restart_with_the_same_token_know_the_session() -> None:
    assert session_key("token") == session_key("token")
    assert session_key("token") != session_key("other")
    assert session_key("") != session_key("")


@pytest.mark.parametrize(
    "later",
    [
        sessions(doorkeeper(ada="secret"), at=START + LIFETIME + timedelta(seconds=1)),
        sessions(doorkeeper(ada="secret"), at=START - timedelta(seconds=1)),
        sessions(doorkeeper(ada="secret"), key="another"),
        sessions(doorkeeper(ada="changed")),
        sessions(doorkeeper(bob="secret")),
    ],
    ids=["too old", "of the future", "other key", "token changed", "credential gone"],
)
def test_a_session_ends(later: Sessions) -> None:
    visit = later.visit(cookie_of_ada(), NOBODY)
    assert not visit.signed_in
    assert visit.identity == NOBODY
    assert visit.cookie != cookie_of_ada()


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_cookie_with_any_other_character_is_no_session(place: int, character: str) -> None:
    cookie = cookie_of_ada()
    place %= len(cookie)
    forged = cookie[:place] + character + cookie[place + 1 :]
    visit = sessions(doorkeeper(ada="secret")).visit(forged, NOBODY)
    assert visit.signed_in == (forged == cookie)


@given(st.text())
def test_whatever_a_browser_sends_is_read_or_passed_over(cookie: str) -> None:
    assert not sessions(doorkeeper(ada="secret")).visit(cookie, NOBODY).signed_in


@pytest.mark.parametrize("token", ["", "Secret", "secret ", "ü"])
def test_nobody_signs_in_with_a_token_that_is_no_one_s(token: str) -> None:
    assert sessions(doorkeeper(ada="secret")).sign_in(token) is None


def test_a_form_is_of_one_visit_and_one_name_alone() -> None:
    own = sessions(doorkeeper(ada="secret"))
    first, second = own.visit(None, NOBODY), own.visit(None, NOBODY)
    signed = own.visit(cookie_of_ada(), NOBODY)
    tokens = {own.form_token(v) for v in (first, second, signed)}
    assert len(tokens) == 3
    assert own.is_own_form(first, own.form_token(first))
    assert not own.is_own_form(first, own.form_token(second))
    assert not own.is_own_form(first, "")


def test_a_client_certificate_goes_before_a_cookie() -> None:
    known = Identity("cert", frozenset({Scope.READ}))
    visit = sessions(doorkeeper(ada="secret")).visit(cookie_of_ada(), known)
    assert (visit.identity, visit.signed_in) == (known, False)
