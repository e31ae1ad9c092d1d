"""The published JSON Schema: what the code means, in the names that a user writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kontinual.spec.schema import SCHEMA_ID, loop_schema, schema_text

_PUBLISHED = Path(__file__).parents[3] / "docs" / "loop.schema.json"


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from _objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _objects(value)


def test_the_published_schema_is_what_the_code_says() -> None:
    assert _PUBLISHED.read_text(encoding="utf-8") == schema_text(), (
        "make it anew: python -m kontinual.spec.schema > docs/loop.schema.json"
    )
    assert json.loads(schema_text())["$id"] == SCHEMA_ID


def test_no_part_of_the_declaration_takes_unknown_keys() -> None:
    open_parts = [o["title"] for o in _objects(loop_schema()) if o.get("additionalProperties")]
    assert open_parts == []
    assert all(o["additionalProperties"] is False for o in _objects(loop_schema()))


def test_the_schema_knows_every_key_of_the_flights(flights_path: Path) -> None:
    schema = loop_schema()
    known = {name for o in _objects(schema) for name in o["properties"]}
    flights = YAML(typ="safe").load(flights_path)
    assert set(flights) <= set(schema["properties"])
    for part in ("data", "rollout", "monitoring", "trigger"):
        assert set(flights[part]) <= known
    assert {"apiVersion", "for"} <= known
    assert "api_version" not in known


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = loop_schema()
    text = json.dumps(schema)
    targets = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert targets
    assert targets <= set(schema["$defs"])
