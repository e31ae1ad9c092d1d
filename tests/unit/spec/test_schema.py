"""The published JSON Schema: what the code means, in the names that a user writes."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from kontinual.lake import draft_loop
from kontinual.spec import Loop, format_duration
from kontinual.spec.schema import SCHEMA_ID, loop_schema, schema_text

_ROOT = Path(__file__).parents[3]
_PUBLISHED = _ROOT / "docs" / "loop.schema.json"
_FLIGHTS = YAML(typ="safe").load(_ROOT / "examples" / "flights" / "loop.yaml")
_VALIDATOR = jsonschema.Draft202012Validator(loop_schema())


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


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("training.tuning.katib.job.requests.cpu", st.integers() | st.floats()),
        ("training.tuning.katib.job.limits.memory", st.sampled_from(["4Gi", 2, 0.5, 1e22, "2 GB"])),
        ("serving.requests.cpu", st.sampled_from(["500m", "2", "1.5", 2, 1.5])),
        ("data.features.3.range", st.lists(st.integers() | st.floats(), max_size=3)),
        ("data.features.0.range", st.lists(st.integers() | st.floats(), max_size=3)),
        ("data.features.12.vocabulary", st.lists(st.text(), max_size=3)),
        ("data.retention", st.from_regex(r"\A([0-9]{1,3}[wdhms]){0,3}\Z")),
        ("monitoring.alerts.0.for", st.timedeltas().map(format_duration)),
        ("monitoring.window", st.sampled_from(["0s", "1w2d", "soon", "30m"])),
        ("gates.0.min_improvement", st.floats() | st.none()),
        ("schedule.every", st.sampled_from(["1h", "1s"])),
    ],
)
@given(data=st.data())
def test_an_editor_takes_what_check_takes(
    path: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    tree = _with(deepcopy(_FLIGHTS), path, data.draw(values))
    try:
        Loop.model_validate(tree)
    except ValidationError:
        return
    assert list(_VALIDATOR.iter_errors(tree)) == []


def test_an_editor_takes_what_is_drafted() -> None:
    index = np.arange(2000)
    rows = {"id": index, "time": pd.date_range("2026-01-01", periods=2000, freq="h", tz="UTC")}
    features = {"x": index / 10, "n": index % 9, "word": [f"w{i % 3}" for i in index]}
    frame = pd.DataFrame({**rows, **features, "late": index % 4 == 0})
    frame.loc[::10, ["x", "word"]] = None
    drafted = draft_loop(frame, name="rain", id="id", time="time", label="late", history="rain.csv")
    assert list(_VALIDATOR.iter_errors(YAML(typ="safe").load(drafted.text))) == []


def _with(tree: Any, path: str, value: Any) -> Any:
    *parts, last = path.split(".")
    node = tree
    for part in parts:
        node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
    node[last] = value
    return tree


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = loop_schema()
    text = json.dumps(schema)
    targets = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert targets
    assert targets <= set(schema["$defs"])
