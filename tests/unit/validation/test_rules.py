"""A refusal stands as long as what it was judged by."""

from datetime import UTC, datetime

import pytest

from kontinual.lake import Lake, Verdict
from kontinual.validation import SchemaStore, is_open, rules_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def lake(loop, tmp_path):
    return Lake(str(tmp_path), loop)


def said(*, accepted, rules, by="validation"):
    return Verdict(span=1, accepted=accepted, by=by, at=NOW, rules=rules)


def without(loop, feature):
    features = [f for f in loop.data.features if f.name != feature]
    return loop.model_copy(update={"data": loop.data.model_copy(update={"features": features})})


def test_the_rules_are_those_of_the_declaration_and_the_schema(loop, lake, monkeypatch):
    rules = rules_of(loop, lake)
    assert rules_of(loop.model_copy(update={"description": "other"}), lake) == rules
    left = without(loop, loop.data.features[0].name)
    assert rules_of(left, lake) != rules
    lenient = loop.validation.model_copy(update={"max_drift": 0.9})
    assert rules_of(loop.model_copy(update={"validation": lenient}), lake) != rules
    lake.store.write("schema/000001.pbtxt", b"")
    lake.store.write(
        "schema/000001.json",
        b'{"version": 1, "by": "Ada", "reason": "r", "tfdv_version": "1", '
        b'"at": "2026-06-01T00:00:00Z"}',
    )
    assert SchemaStore(lake).versions()
    assert rules_of(loop, lake) != rules


def test_a_refusal_is_open_again_once_the_rules_have_changed():
    assert is_open(None, rules="new")
    assert is_open(said(accepted=False, rules="old"), rules="new")
    assert not is_open(said(accepted=False, rules="new"), rules="new")


def test_what_was_accepted_and_what_a_person_said_stands():
    assert not is_open(said(accepted=True, rules="old"), rules="new")
    assert not is_open(said(accepted=False, rules=None, by="Ada"), rules="new")
