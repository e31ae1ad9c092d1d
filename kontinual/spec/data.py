"""The data of a loop: features, label, history, slices."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kontinual.spec.base import Duration, PositiveDuration, Share, Strict, format_duration

__all__ = [
    "YEARS",
    "CategoryFeature",
    "Data",
    "Feature",
    "History",
    "IntegerFeature",
    "Label",
    "NumberFeature",
]

YEARS = (1900, 2200)
"""Rows lie from the first to the last of these years, which every table format can hold."""

_Whole = Annotated[float, Field(ge=-(2**53), le=2**53)]
ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]


class _FeatureBase(Strict):
    name: ColumnName
    description: str = ""
    nullable: bool = Field(default=False, description="may a request leave the value null?")
    seasonal: bool = Field(
        default=False,
        description="it moves by nature, such as a date: its drift is recorded, but alerts no one",
    )


class _Ranged(_FeatureBase):
    range: tuple[float, float] = Field(description="least and greatest plausible value")
    unit: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> "_Ranged":
        low, high = self.range
        if not low < high:
            raise ValueError(f"range needs low < high, but got [{low}, {high}]")
        return self


class NumberFeature(_Ranged):
    """A real number."""

    type: Literal["number"] = "number"


class IntegerFeature(_Ranged):
    """A whole number."""

    type: Literal["integer"] = "integer"
    range: tuple[_Whole, _Whole] = Field(
        description="least and greatest plausible value, within 2^53: all of these survive JSON"
    )


class CategoryFeature(_FeatureBase):
    """One of a fixed set of strings. Others are served as "unseen", and counted."""

    type: Literal["category"] = "category"
    vocabulary: list[str] = Field(min_length=2, max_length=10_000)

    @model_validator(mode="after")
    def _unique(self) -> "CategoryFeature":
        twice = sorted({v for v in self.vocabulary if self.vocabulary.count(v) > 1})
        if twice:
            raise ValueError(f"vocabulary values must be unique, but {twice} stand twice")
        return self


Feature = Annotated[NumberFeature | IntegerFeature | CategoryFeature, Field(discriminator="type")]


class Label(Strict):
    """What is predicted: a yes (1) or no (0)."""

    name: ColumnName
    delay: Duration = Field(
        description="how long after a row's time its label may come. No row becomes an example "
        "sooner, for labels that come first are not like the rest; later ones are not waited for"
    )


class History(Strict):
    """The first labelled rows: a table, or a DuckDB query over tables.

    Exactly one of the two. Relative paths count from the declaration's folder.
    """

    table: str | None = Field(default=None, description="parquet or CSV file, or a glob of them")
    query: str | None = Field(default=None, description="SELECT ... in DuckDB's SQL")

    @model_validator(mode="after")
    def _one(self) -> "History":
        if (self.table is None) == (self.query is None):
            raise ValueError("history needs exactly one of `table` and `query`")
        return self


class Data(Strict):
    """Rows are what requests and labels say."""

    id: ColumnName = Field(description="request field that a late label refers to")
    time: ColumnName = Field(description="request field with the event's time (ISO 8601)")
    label: Label
    features: list[Feature] = Field(min_length=1)
    slices: list[ColumnName] = Field(
        default_factory=list, description="category features whose groups are watched apart"
    )
    history: History
    span: PositiveDuration = Field(
        default="30d", validate_default=True, description="the history is cut into spans this long"
    )
    retention: Duration = Field(
        default="30d",
        validate_default=True,
        description="the collector keeps a row this long after it became part of a span; of "
        "older ones it remembers id and label, so that what comes again is not taken for new. "
        "A prediction without a label, and a label without a prediction, is kept this long "
        "after it arrived, or ten times the label's delay if that is longer, and then forgotten",
    )
    holdout: Share = Field(
        default=0.2, gt=0, lt=0.9, description="share of each span kept for evaluation only"
    )
    holdout_block: Duration = Field(
        default="1d",
        validate_default=True,
        description="the holdout is drawn in blocks of time this long, so that no row is "
        "evaluated by a model that learned from its neighbours of the same hour or day",
    )
    replay_rows: int = Field(
        default=100_000, ge=0, description="rows sampled from all older spans into a training"
    )

    @property
    def patience(self) -> timedelta:
        """How long a prediction is kept for its label to come, and a label for its prediction."""
        return max(self.retention, 10 * self.label.delay)

    @property
    def feature_names(self) -> list[str]:
        return [f.name for f in self.features]

    @property
    def steady_names(self) -> list[str]:
        """The features whose drift is worth an alert."""
        return [f.name for f in self.features if not f.seasonal]

    def feature(self, name: str) -> NumberFeature | IntegerFeature | CategoryFeature:
        """The feature of this name; KeyError when there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    @model_validator(mode="after")
    def _blocks(self) -> "Data":
        if self.holdout_block < timedelta(seconds=1):
            raise ValueError("holdout_block is at least 1s")
        longest = self.span * min(self.holdout, 1 - self.holdout)
        if self.holdout_block > longest:
            raise ValueError(
                f"holdout_block {format_duration(self.holdout_block)} leaves spans of "
                f"{format_duration(self.span)} without held-out or without training rows; "
                f"with a holdout of {self.holdout:g} it is at most {format_duration(longest)}"
            )
        return self

    @model_validator(mode="after")
    def _columns(self) -> "Data":
        names = [self.id, self.time, self.label.name, *self.feature_names]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"id, time, label and features need distinct names, but {twice} recur")
        for name in self.slices:
            if name not in self.feature_names or self.feature(name).type != "category":
                known = [f.name for f in self.features if f.type == "category"]
                raise ValueError(f"slices name category features {known}, but got {name!r}")
        return self
