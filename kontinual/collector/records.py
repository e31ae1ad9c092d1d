"""What goes into a store, and what comes out of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

__all__ = [
    "Answered",
    "Cohort",
    "Example",
    "Ingested",
    "Labelled",
    "Matured",
    "Prediction",
    "Pruned",
    "StoreCounts",
    "VersionOutcomes",
]


@dataclass(frozen=True)
class Prediction:
    """One row that was answered."""

    id: str
    time: datetime
    version: str
    score: float
    features: dict[str, Any]


@dataclass(frozen=True)
class Matured:
    """A prediction at the moment it became an example: labelled, and its label's delay over."""

    version: str
    score: float
    label: int
    features: dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A labelled row, ready for the lake."""

    seq: int
    id: str
    time: datetime
    version: str
    score: float
    features: dict[str, Any]
    label: int


class Answered(NamedTuple):
    """What is compared of a prediction."""

    arrived: float
    """Unix time."""
    version: str
    score: float
    label: int | None


@dataclass(frozen=True)
class VersionOutcomes:
    """How the predictions of one version in a cohort turned out."""

    version: str
    predictions: int
    labelled: int
    """Of these, those whose label is known; the sums are over them."""
    log_loss_sum: float
    log_loss_squares: float


@dataclass(frozen=True)
class Cohort:
    """Predictions that arrived in the same time, by version."""

    until: datetime | None
    """When the last of them arrived; None if there are none."""
    outcomes: list[VersionOutcomes]


@dataclass
class Ingested:
    """What became of a batch of predictions, in rows."""

    stored: int = 0
    duplicate: int = 0
    matured: list[Matured] = field(default_factory=list)


@dataclass
class Labelled:
    """What became of a batch of labels."""

    joined: int = 0
    early: int = 0
    duplicate: int = 0
    conflict: int = 0
    matured: list[Matured] = field(default_factory=list)


class Pruned(NamedTuple):
    """How many rows are no longer kept."""

    taken: int = 0
    """In a span for long enough."""
    unlabelled: int = 0
    """Predictions whose label did not come."""
    early: int = 0
    """Labels whose prediction did not come."""


@dataclass(frozen=True)
class StoreCounts:
    """How many rows there are, and have been."""

    unlabelled: int
    """Predictions still waiting for their label."""
    matured: int
    """Rows that ever became examples: the newest `seq`."""
    taken: int
    """Of these, those that are in a span."""
    ripening: int = 0
    """Labelled rows whose label's delay is not over."""

    @property
    def untaken(self) -> int:
        """Examples that are not yet in a span."""
        return self.matured - self.taken
