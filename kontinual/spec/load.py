"""Reading a declaration, with every mistake named by its line."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kontinual.errors import SpecError
from kontinual.spec.loop import Loop

__all__ = ["InvalidLoop", "Location", "Problem", "load_loop", "misfits", "parse_loop"]

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands and what would be right."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}: {self.message}"


class InvalidLoop(SpecError):
    """A declaration with mistakes, all of them listed."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems, key=lambda p: p.line)
        lines = "\n".join(f"{source}:{p.line}: {p.path}: {p.message}" for p in self.problems)
        super().__init__(lines)


def load_loop(url: str) -> Loop:
    """The loop declared at a path or any fsspec URL.

    Raises:
        SpecError: nothing can be read there.
        InvalidLoop: it is not YAML, or not a valid declaration.
    """
    try:
        with fsspec.open(url, "rt", encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError, ImportError) as exc:
        missing = isinstance(exc, FileNotFoundError)
        why = "there is no such file" if missing else exc
        raise SpecError(f"{url}: the declaration can not be read: {why}") from exc
    return parse_loop(text, source=str(url))


def parse_loop(text: str, *, source: str = "loop.yaml") -> Loop:
    """The loop that a text declares.

    Raises:
        InvalidLoop: it is not YAML, or not a valid declaration.
    """
    tree = _read_yaml(text, source)
    if not isinstance(tree, Mapping):
        raise InvalidLoop(
            source, [Problem(1, "(document)", "a mapping with apiVersion, kind, name, … is needed")]
        )
    try:
        return Loop.model_validate(tree)
    except ValidationError as exc:
        raise InvalidLoop(source, [_problem(tree, error) for error in exc.errors()]) from exc


def misfits(url: str, found: Sequence[tuple[Location, str]]) -> InvalidLoop:
    """An error of mistakes that a declaration alone does not show, each with its line.

    Args:
        url: of the declaration, which can be read.
        found: where each mistake is, as keys and positions from the top, and what would be right.
    """
    with fsspec.open(url, "rt", encoding="utf-8") as file:
        tree = _read_yaml(file.read(), url)
    return InvalidLoop(url, [Problem(*_locate(tree, loc)[:2], message) for loc, message in found])


def _read_yaml(text: str, source: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        message = " ".join(str(p) for p in (exc.problem, exc.context) if p)
        raise InvalidLoop(source, [Problem(line, "(document)", f"not YAML: {message}")]) from exc
    except YAMLError as exc:
        raise InvalidLoop(source, [Problem(1, "(document)", f"not YAML: {exc}")]) from exc


def _problem(tree: Any, error: ErrorDetails) -> Problem:
    loc, kind = error["loc"], error["type"]
    line, path, siblings = _locate(tree, loc)
    if kind in {"extra_forbidden", "missing"} and not path.endswith(str(loc[-1])):
        path = f"{path}.{loc[-1]}" if loc[:-1] else str(loc[-1])
    message = error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = _unknown(str(loc[-1]), _known_keys(siblings, loc))
    elif kind == "missing":
        message = "this key is missing"
    elif "got" not in message and not isinstance(error["input"], dict):
        message += f", but got {_short(error['input'])}"
    return Problem(line, path, message)


def _unknown(key: str, known: Sequence[str]) -> str:
    if key in Loop.model_fields:
        return f"unknown key here; `{key}` stands at the top of the document"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    return "unknown key" + (f", did you mean `{close[0]}`?" if close else "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _locate(tree: Any, loc: tuple[int | str, ...]) -> tuple[int, str, Any]:
    """Line and dotted path of a pydantic location, past the tags of its unions."""
    node, siblings, line, path = tree, tree, 1, ""
    for part in loc:
        if isinstance(node, Mapping) and part in node:
            line = _position(node).key(part)[0] + 1
            path += f".{part}" if path else str(part)
        elif isinstance(node, Sequence) and not isinstance(node, str) and isinstance(part, int):
            line = _position(node).item(part)[0] + 1
            path += f"[{part}]"
        else:
            continue  # the tag of a union, or a key that is missing
        siblings, node = node, node[part]
    return line, path or "(document)", siblings


def _position(node: Any) -> Any:
    """The line and column marks that ruamel.yaml leaves on each collection."""
    return node.lc


def _known_keys(node: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Keys that the declaration knows anywhere; near misses among them are offered."""
    known: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            known.update(schema.get("properties", {}))
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(Loop.model_json_schema())
    return sorted(known - (set(node) if isinstance(node, Mapping) else set()) - {str(loc[-1])})
