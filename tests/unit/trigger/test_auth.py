import hashlib
import json
from pathlib import Path

import pytest

from kontinual.errors import SpecError
from kontinual.trigger import Credential, Doorkeeper, Scope
from kontinual.trigger.auth import load_credentials
from kontinual.trigger.guard import right_for

ANA = Credential.of_token("secret of ana", name="ana", scopes=[Scope.READ, Scope.WRITE])
ALERTS = Credential.of_token("secret of alerts", name="alertmanager", scopes=[Scope.ALERT])
BEN = Credential(name="ben", scopes=frozenset({Scope.READ}))


@pytest.fixture
def door() -> Doorkeeper:
    return Doorkeeper([ANA, ALERTS, BEN])


def test_a_token_is_a_name_with_its_scopes(door: Doorkeeper) -> None:
    ana = door.identify("Bearer secret of ana")
    assert (ana.name, ana.scopes, ana.known) == ("ana", {Scope.READ, Scope.WRITE}, True)
    assert door.identify("Bearer secret of alerts").scopes == {Scope.ALERT}


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "secret of ana", "bearer secret of ana", "Bearer ben"]
)
def test_anything_else_is_nobody_and_may_nothing(door: Doorkeeper, header: str | None) -> None:
    nobody = door.identify(header)
    assert (nobody.known, nobody.scopes) == (False, frozenset())


def test_a_certificate_is_known_by_its_common_name(door: Doorkeeper) -> None:
    assert door.identify(None, "ben").scopes == {Scope.READ}
    assert not door.identify(None, "ana").known, "who has a token is not known by a name alone"
    assert not door.identify(None, "eve").known


def test_without_names_the_authoritys_word_is_enough() -> None:
    door = Doorkeeper([], for_any_certificate=Scope)
    assert door.identify(None, "eve").may(Scope.WRITE)
    assert not door.identify(None, None).may(Scope.READ)


def test_what_anybody_may_those_who_are_known_may_too() -> None:
    door = Doorkeeper([ALERTS], for_anybody=[Scope.READ])
    assert door.identify(None).scopes == {Scope.READ}
    assert door.identify("Bearer secret of alerts").scopes == {Scope.READ, Scope.ALERT}


def test_who_has_no_credential_has_to_call_the_service_by_a_name_of_this_machine() -> None:
    door = Doorkeeper([ALERTS], for_anybody=Scope, hosts=["127.0.0.1"])
    assert door.identify(None, host="127.0.0.1").may(Scope.WRITE)
    for host in ("evil.example", ""):
        nobody = door.identify(None, host=host)
        assert (nobody.known, nobody.scopes) == (False, frozenset())
    assert door.identify("Bearer secret of alerts", host="evil.example").may(Scope.ALERT)


def test_a_file_names_credentials_without_holding_a_token(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"s").hexdigest()
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps([{"name": "ana", "scopes": ["read"], "sha256": digest}]))
    assert Doorkeeper(load_credentials(path)).identify("Bearer s").name == "ana"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", r"c\.json: the credentials are not JSON"),
        ('[{"name": "ana"}]', r"c\.json: credential 0\.scopes: Field required"),
        ('[{"name": "a", "scopes": ["rule"]}]', r"credential 0\.scopes.*'alert', 'read' or 'writ"),
        ('[{"name": "a", "scopes": ["read"], "sha256": "A"}]', r"credential 0\.sha256: String sho"),
        ('[{"name": "a", "scopes": ["read"], "token": "A"}]', r"credential 0\.token: Extra input"),
        ('[{"name":"a","scopes":["read"]},{"name":"a","scopes":["read"]}]', r"\['a'\] recur"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(SpecError, match=complaint):
        load_credentials(tmp_path / "c.json")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.json: the credentials can not be read"):
        load_credentials(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("request_line", "right"),
    [
        ("POST /api/v1/alerts", Scope.ALERT),
        ("GET /api/v1/alerts", Scope.READ),
        ("GET /api/v1/triggers/7", Scope.READ),
        ("POST /api/v1/triggers/7/approve", Scope.WRITE),
        ("DELETE /api/v1/what/comes/later", Scope.WRITE),
        ("GET /healthz", None),
        ("GET /metrics", None),
    ],
)
def test_what_changes_something_needs_to_write_whatever_comes_later(
    request_line: str, right: Scope | None
) -> None:
    assert right_for(*request_line.split()) is right
