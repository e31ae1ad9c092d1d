"""What is expected of each column: the readable side of a schema."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from kontinual.spec import CategoryFeature, Loop

__all__ = ["Expectation", "declared"]


class Expectation(BaseModel):
    """One column of a span."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: Literal["number", "integer", "category"]
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    vocabulary: tuple[str, ...] = ()
    unit: str = ""
    label: bool = False

    @property
    def categorical(self) -> bool:
        return self.type == "category"


def declared(loop: Loop) -> dict[str, Expectation]:
    """What the declaration says of its features and its label, by name."""
    expected = {f.name: _of_feature(f) for f in loop.data.features}
    label = loop.data.label.name
    return expected | {label: Expectation(name=label, type="integer", low=0, high=1, label=True)}


def _of_feature(feature: object) -> Expectation:
    if isinstance(feature, CategoryFeature):
        return Expectation(
            name=feature.name,
            type="category",
            nullable=feature.nullable,
            vocabulary=tuple(feature.vocabulary),
        )
    low, high = feature.range  # type: ignore[attr-defined]
    if feature.type == "integer":  # type: ignore[attr-defined]
        low, high = float(np.ceil(low)), float(np.floor(high))
    return Expectation(
        name=feature.name,  # type: ignore[attr-defined]
        type=feature.type,  # type: ignore[attr-defined]
        nullable=feature.nullable,  # type: ignore[attr-defined]
        low=low,
        high=high,
        unit=feature.unit,  # type: ignore[attr-defined]
    )
