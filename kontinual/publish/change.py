"""What publishing did, or would do."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Change", "Verb"]


class Verb(StrEnum):
    """What became of a thing."""

    UNCHANGED = "unchanged"
    CREATED = "created"
    UPDATED = "updated"
    REMOVED = "removed"


@dataclass(frozen=True)
class Change:
    """One thing, and what became of it."""

    thing: str  # such as `pipeline version`
    verb: Verb
    name: str  # of the thing, or its address

    def __str__(self) -> str:
        return f"{self.thing} {self.name}: {self.verb}"
