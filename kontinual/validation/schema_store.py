"""The versions of a loop's schema in the lake: `schema/000001.pbtxt`, and a JSON beside it.

The JSON says who made it, when and why. It is written last and only once, so a
version is there whole or not at all, and of two people who accept at once one
is told that the other was faster.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kontinual.errors import LakeError
from kontinual.lake import Lake
from kontinual.validation.schema import parse, to_text

__all__ = ["INFERRED", "SchemaStore", "SchemaVersion"]

INFERRED = "inferred"
_FOLDER = "schema"


class SchemaVersion(BaseModel):
    """Who made a version of the schema, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    by: str = Field(min_length=1, description="`inferred`, or a person's name")
    reason: str
    span: int | None = Field(default=None, description="the span it was made from or for")
    changes: list[str] = Field(default_factory=list)
    tfdv_version: str
    at: AwareDatetime

    @property
    def inferred(self) -> bool:
        """Has no person made it?"""
        return self.by == INFERRED


class SchemaStore:
    """Keeps and finds the versions."""

    def __init__(self, lake: Lake, *, clock: Callable[[], datetime] | None = None) -> None:
        self._store = lake.store
        self._clock = clock or (lambda: datetime.now(UTC))

    def versions(self) -> list[SchemaVersion]:
        """All versions, the oldest first."""
        return [self._about(n) for n in self._numbers()]

    def latest(self) -> tuple[Any, SchemaVersion] | None:
        """The schema in force; None when none is kept yet."""
        number = max(self._numbers(), default=None)
        if number is None:
            return None
        path = _path(number, "pbtxt")
        text = self._store.read(path).decode()
        return parse(text, source=self._store.url(path)), self._about(number)

    def keep(
        self,
        schema: Any,
        *,
        after: int,
        by: str,
        reason: str,
        tfdv_version: str,
        span: int | None = None,
        changes: list[str] | None = None,
    ) -> SchemaVersion:
        """Make a schema the one in force.

        Args:
            schema: the schema.
            after: the version it was made from; 0 for the first one.
            by: a person's name, or `inferred`.
            reason: why, in a sentence.
            tfdv_version: that made it.
            span: the span it was made from or for.
            changes: against the version before, in sentences.

        Raises:
            LakeError: another version came into force meanwhile.
        """
        about = SchemaVersion(
            version=after + 1,
            by=by,
            reason=reason,
            span=span,
            changes=changes or [],
            tfdv_version=tfdv_version,
            at=self._clock(),
        )
        if about.version in self._numbers():
            raise _conflict(about.version)
        try:
            # An orphan of a writer that died before its JSON is replaced; nobody reads it.
            self._store.write(_path(about.version, "pbtxt"), to_text(schema).encode())
            self._store.create(_path(about.version, "json"), _json(about))
        except FileExistsError as exc:
            raise _conflict(about.version) from exc
        return about

    def _numbers(self) -> list[int]:
        names = [n.removesuffix(".json") for n in self._store.names(_FOLDER) if n.endswith(".json")]
        return sorted(int(n) for n in names if n.isdigit())

    def _about(self, number: int) -> SchemaVersion:
        path = _path(number, "json")
        try:
            return SchemaVersion.model_validate_json(self._store.read(path))
        except ValidationError as exc:
            raise LakeError(f"{self._store.url(path)}: no schema version: {exc}") from exc


def _conflict(version: int) -> LakeError:
    return LakeError(
        f"schema version {version} was made by someone else meanwhile; "
        "look at it with `kontinual schema show`, then try again"
    )


def _path(number: int, ending: str) -> str:
    return f"{_FOLDER}/{number:06d}.{ending}"


def _json(about: SchemaVersion) -> bytes:
    return json.dumps(about.model_dump(mode="json"), indent=2, ensure_ascii=False).encode()
