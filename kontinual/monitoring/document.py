"""YAML for people: in order, long expressions as blocks, with its origin on top."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

__all__ = ["document"]


def document(tree: Any, *, loop: str) -> str:
    """The YAML text of nested dicts and lists, the same for the same tree."""
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    stream.write(f"# rendered by kontinual render from loop {loop}; do not edit\n")
    yaml.dump(_blocks(tree), stream)
    return stream.getvalue()


def _blocks(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _blocks(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_blocks(value) for value in tree]
    if isinstance(tree, str) and "\n" in tree:
        return LiteralScalarString(tree)
    return tree
