"""The published JSON Schema of a declaration, for editors that complete and check as one types.

`python -m kontinual.spec.schema` prints it; `docs/loop.schema.json` is its output.
"""

import json
import sys
from typing import Any

from kontinual.spec.loop import Loop

__all__ = ["SCHEMA_ID", "loop_schema", "schema_text"]

SCHEMA_ID = "https://kontinual.dev/schemas/loop.v1alpha1.json"


def loop_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `loop.yaml`.

    What joins several fields, such as "steps end at 100", is checked by
    `kontinual check` alone.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **Loop.model_json_schema(by_alias=True),
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(loop_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
