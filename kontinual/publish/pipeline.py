"""The compiled pipeline, as it is uploaded: its images from the registry that is used."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kontinual.errors import SpecError

__all__ = ["CompiledPipeline"]

_IMAGE = re.compile(r"^(\s+image: )kontinual/([a-z]+):(\S+)$", re.MULTILINE)
_DIGEST_LENGTH = 12


class CompiledPipeline:
    """The text of a compiled pipeline. Its version's name is a digest of that text."""

    def __init__(self, text: str, *, source: str) -> None:
        """Take a text.

        Raises:
            SpecError: it is no compiled pipeline.
        """
        try:
            head = next(iter(YAML(typ="safe").load_all(text)))
            self.name = str(head["pipelineInfo"]["name"])
            self.description = str(head["pipelineInfo"].get("description", ""))
            self.parameters = set(head["root"]["inputDefinitions"]["parameters"])
        except (YAMLError, StopIteration, KeyError, TypeError) as exc:
            raise SpecError(
                f"{source}: not a compiled pipeline ({type(exc).__name__}: {_first_line(exc)}); "
                "compile it: make compile"
            ) from exc
        self.text = text

    @classmethod
    def read(cls, path: Path, *, registry: str | None, tag: str | None) -> "CompiledPipeline":
        """Read a compiled pipeline; our own images get another registry and tag.

        Args:
            path: of the YAML.
            registry: in place of `kontinual`, such as registry.example/team.
            tag: in place of the version.

        Raises:
            SpecError: it can not be read.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as exc:
            raise SpecError(f"--pipeline {path}: can not be read: {exc}") from exc

        def relocated(match: re.Match[str]) -> str:
            lead, environment, version = match.groups()
            return f"{lead}{registry or 'kontinual'}/{environment}:{tag or version}"

        return cls(_IMAGE.sub(relocated, text), source=str(path))

    @property
    def version(self) -> str:
        """The name of the version that this text is."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:_DIGEST_LENGTH]

    @contextmanager
    def file(self) -> Iterator[Path]:
        """The text as a file, as the upload wants it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name}.yaml"
            path.write_text(self.text, encoding="utf-8")
            yield path


def _first_line(exc: BaseException) -> str:
    return str(exc).partition("\n")[0]
