"""The README of a component: generated above its mark from the code, written by hand below it.

The form is that of Kubeflow's repository of components, and so is `metadata.yaml`.
"""

import json
from pathlib import Path
from typing import Any

import docstring_parser
import yaml
from kfp.dsl.base_component import BaseComponent

__all__ = ["MARK", "readme"]

MARK = "<!-- custom-content -->"
# Something that each input may be, for the example.
EXAMPLES: dict[str, Any] = {
    "loop": "s3://models/flights/loop.yaml",
    "run_id": "flights-20260601t0600",
    "job": "{{$.pipeline_job_uuid}}",  # dsl.PIPELINE_JOB_ID_PLACEHOLDER
    "trigger": "manual",
    "span": 7,
    "seed": 0,
    "algorithm": "logistic_regression",
    "parameters": '{"C": 0.5}',
    "version": "3",
}
TYPES = {"String": "str", "Integer": "int", "Boolean": "bool"}


def readme(component: BaseComponent, folder: Path) -> str:
    """The whole text; what stands below the mark in `folder/README.md` is kept.

    Args:
        component: as kfp loads it from its YAML.
        folder: of the component, with its `metadata.yaml`.
    """
    spec = component.component_spec
    said = docstring_parser.parse(spec.description or "")
    descriptions = {argument.arg_name: argument.description or "" for argument in said.params}
    result = said.returns.description if said.returns else ""
    inputs = [
        [f"`{name}`", f"`{_type(entry.type)}`", descriptions.get(name, "")]
        for name, entry in (spec.inputs or {}).items()
    ]
    outputs = [
        [f"`{name}`", f"`{_type(entry.type)}`", descriptions.get(name) or result]
        for name, entry in (spec.outputs or {}).items()
    ]
    parts = [
        f"# {spec.name.capitalize()}",
        f"{said.short_description}\n\nImage: `{spec.implementation.container.image}`.",
        f"## Inputs\n\n{_table('Parameter', inputs)}",
        f"## Outputs\n\n{_table('Name', outputs)}",
        f"## Metadata\n\n{_metadata(folder / 'metadata.yaml')}",
        f"## Usage\n\n```python\n{_example(spec.name, list(spec.inputs or {}))}\n```",
        MARK + _by_hand(folder / "README.md"),
    ]
    return "\n\n".join(parts)


def _type(kfp_type: str) -> str:
    """As the component's signature has it, such as `int` or `dsl.HTML`."""
    name = kfp_type.removeprefix("system.").partition("@")[0]
    return TYPES.get(kfp_type, f"dsl.{name}")


def _table(first: str, rows: list[list[str]]) -> str:
    head = [[first, "Type", "Description"], ["---"] * 3]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def _metadata(path: Path) -> str:
    metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    needs = metadata["dependencies"]
    services = [
        f"{service['name']} {service['version']}"
        for service in [*needs["kubeflow"], *needs.get("external_services", [])]
    ]
    lines = {
        "Stability": metadata["stability"],
        "Works with": ", ".join(services),
        "Tags": ", ".join(metadata["tags"]),
        "Last verified": f"{metadata['lastVerified']:%Y-%m-%d}",
    }
    return "\n".join(f"- **{key}**: {value}" for key, value in lines.items())


def _example(name: str, inputs: list[str]) -> str:
    arguments = "".join(f"\n        {key}={_literal(EXAMPLES[key])}," for key in inputs)
    return f"""from kfp import components, dsl

{name} = components.load_component_from_file("components/{name}/component.yaml")


@dsl.pipeline
def only_{name}():
    {name}({arguments}
    )"""


def _by_hand(path: Path) -> str:
    if not path.is_file():
        return "\n"
    return path.read_text(encoding="utf-8").partition(MARK)[2] or "\n"


def _literal(value: Any) -> str:
    """A value as Python's formatter writes it: in the quotes that need no escape."""
    return repr(value) if '"' in str(value) else json.dumps(value)
